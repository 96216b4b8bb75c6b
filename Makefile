# Two commands set up a fresh machine (Python 3.11 or 3.12): make quickstart, make test.
SHELL := /bin/bash
SECOND_LOOK ?= docs/results/poly_inr/digits_second_look.jsonl
VENV := .venv
PY := $(VENV)/bin/python
# The newest Python of those that the project supports; name another with PYTHON=...
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: help setup quickstart pictures test lint soak check-gpu bench claims critics second-look priors inpainting augmentation latents

help:
	@echo "make quickstart  install, train Poly-INR on digits, and say where the pictures are"
	@echo "make pictures    draw what a trained Poly-INR can show (RUN=<folder>; without it the newest run)"
	@echo "make test        install and run the tests"
	@echo "make lint        run ruff and mypy"
	@echo "make soak        run the slow tests"
	@echo "make check-gpu   run the tests that need a GPU, and a benchmark on it"
	@echo "make bench       run the benchmarks (BENCH_FLAGS=--quick: in a minute)"
	@echo "make claims      make docs/claims.md from docs/results (RUNS=<folders>: take in these runs first)"
	@echo "make second-look measure trained digits by a network as judge, and against their training images"
	@echo "                 (RUNS=<folders of poly_inr/digits> JUDGE=<checkpoint of classifier/digits>)"
	@echo "make critics     measure what critics tell apart, and the pieces and holes of what they taught to draw"
	@echo "                 (RUNS=<folders of poly_inr/digits and poly_inr/digits_dgm_critic>)"
	@echo "make priors      score midpoints, means and extrapolations of trained priors, and make docs/results/priors.md"
	@echo "                 (RUNS=<folders of one of the experiments dcgan> JUDGE=<checkpoint of a classifier>)"
	@echo "make inpainting  fill holes by trained PGGANs and without them, and make docs/results/inpainting.md"
	@echo "                 (RUNS=<folders of pggan/fashion_mnist> ENCODERS=<folders of pggan/fashion_mnist_encoder>"
	@echo "                 JUDGE=<checkpoint of classifier/fashion_mnist>)"
	@echo "make latents     measure every sampler of trained ReGenes, and make docs/results/regene.md"
	@echo "                 (RUNS=<folders of experiments of regene> JUDGE=<checkpoint of a classifier, or none>)"
	@echo "make augmentation teach classifiers images that ReGene made, beside controls, and make docs/results/augmentation.md"
	@echo "                 (RUNS=<folders of regene with a rare class> SHARES=<folders of regene without one>)"

$(VENV)/.installed: pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "error: Python 3.11 or 3.12 is needed; name one with make PYTHON=..."; exit 2; fi
	@start=$$(date +%s); set -e; \
	echo "installing into $(VENV) with $$($(PYTHON) --version) (about 6 GB, some minutes)"; \
	$(PYTHON) -m venv $(VENV); \
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"; \
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps sweeps==0.3.0; \
	touch $@; echo "installed in $$(($$(date +%s) - start)) s"

setup: $(VENV)/.installed

quickstart: setup
	$(PY) train.py experiment=poly_inr/digits

# The newest run of poly_inr/digits, unless RUN names another.
RUN ?= $(firstword $(shell ls -td runs/poly_inr/digits/*/ 2>/dev/null))
TASKS := grid upsample interpolate extrapolate mix truncation heatmaps degrees invert edit

pictures: setup
	@if [ ! -f "$(RUN)/checkpoints/last.ckpt" ]; then echo "error: no checkpoint in '$(RUN)': make quickstart, or RUN=<folder>"; exit 2; fi
	@start=$$(date +%s); set -e; for task in $(TASKS); do \
	$(PY) generate.py checkpoint=$(RUN)/checkpoints/last.ckpt task=$$task output=$(RUN)/pictures num_threads=1; done; \
	echo "$(words $(TASKS)) tasks in $$(($$(date +%s) - start)) s"

test: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

soak: setup
	$(PY) -m pytest -m soak

# On a machine with a GPU: every method trains, resumes and draws there, about 3 minutes
check-gpu: setup
	OMP_NUM_THREADS=4 $(PY) -m pytest -m gpu -n 4 tests/gpu
	$(PY) benchmarks/regene.py --device cuda

bench: setup
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(PY) $$script $(BENCH_FLAGS); done

# RUNS: folders of poly_inr/digits; JUDGE: a checkpoint of classifier/digits
second-look: setup
	@set -e; for run in $(RUNS); do \
	$(PY) evaluate.py checkpoint=$$run/checkpoints/last.ckpt judge=classifier:$(JUDGE) split=train labels=balanced output=$(SECOND_LOOK) \
		'metrics=[kid,coverage,authenticity,accuracy,tstr_accuracy]'; done

# RUNS: folders of poly_inr/digits_dgm_critic and poly_inr/digits
critics: setup
	@set -e; for task in separation topology; do for run in $(RUNS); do \
	$(PY) generate.py checkpoint=$$run/checkpoints/last.ckpt task=$$task output=$$run/critic num_threads=1; done; \
	for run in $(RUNS); do cat $$run/critic/$$task.jsonl; done > docs/results/dgm/critic_$$task.jsonl; done; \
	for run in $(RUNS); do tail -n 1 $$run/results.jsonl; done > docs/results/dgm/critic_results.jsonl

# RUNS: folders of an experiment of dcgan, such as dcgan/fashion_mnist; JUDGE: a checkpoint of classifier/fashion_mnist.
# The last state is scored in full, those kept after STATES thousand images at the prior and at midpoints: by as many images
# each, since a Frechet distance of fewer is larger.
STATES ?= 25 50 100
SCORED = count=2500 num_threads=1
priors: setup
	@set -e; for run in $(RUNS); do \
	$(PY) generate.py checkpoint=$$run/checkpoints/last.ckpt task=midpoints "judge=[$(JUDGE)]" output=$$run/midpoints $(SCORED); \
	for state in $(STATES); do \
	$(PY) generate.py checkpoint=$$run/checkpoints/$${state}kimg.ckpt task=midpoints "judge=[$(JUDGE)]" 'only=[prior,midpoint]' \
		'paths=[linear,variance_preserving]' output=$$run/midpoints/$${state}kimg $(SCORED); done; done
	$(PY) -m docs.ledger.priors $(if $(RUNS),--collect $(RUNS))

inpainting: setup
	OMP_NUM_THREADS=1 $(PY) -m docs.ledger.inpainting $(if $(RUNS),--measure $(RUNS) --encoders $(ENCODERS) --judge $(JUDGE))

augmentation: setup
	OMP_NUM_THREADS=1 $(PY) -m docs.ledger.augmentation $(if $(RUNS),--measure $(RUNS)) $(if $(SHARES),--share $(SHARES))

# RUNS: folders of experiments of regene; JUDGE, if there is one: a checkpoint of a classifier that was trained apart
latents: setup
	OMP_NUM_THREADS=1 $(PY) -m docs.ledger.latents $(if $(RUNS),--measure $(RUNS) $(if $(JUDGE),--judge $(JUDGE)))

claims: setup
	$(PY) -m docs.ledger $(if $(RUNS),--collect $(RUNS))
