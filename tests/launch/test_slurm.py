"""The job scripts in examples/slurm, run by a stand-in for the cluster, and the folder of a job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.checkpoint import read_checkpoint
from launch.train.run_folder import choose_run_dir, new_run_dir, run_dir_of_job
from tests.conftest import ROOT, SMALL_RUN
from tests.support.slurm import JOB, directives, install

SCRIPTS = sorted((ROOT / "examples" / "slurm").glob("*.sh"))
Submit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def submit(tmp_path: Path) -> Submit:
    """``sbatch`` from a folder that looks like a checkout."""
    for name in ("train.py", "configs", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    path = install(tmp_path / "bin")

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        names = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment}
        return subprocess.run(["sbatch", *arguments], env=names, capture_output=True, text=True, timeout=300)

    return run


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(script: Path) -> None:
    assert len(SCRIPTS) >= 3
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True).returncode == 0
    assert os.access(script, os.X_OK)
    options = directives(script)
    assert options["ntasks-per-node"] == options["gpus-per-node"], "a rank a GPU"
    assert "gpus-per-task" not in options, "each rank would see one GPU only, under the number 0"
    assert options["open-mode"] == "append", "a requeued job would wipe the log of its first part"
    text = script.read_text()
    assert "set -euo pipefail" in text
    assert '"$@"' in text


@pytest.mark.parametrize(
    ("script", "options", "ranks"),
    [
        ("one_node.sh", ["--ntasks-per-node=3"], ["0 3 0 3 0 1", "1 3 1 3 0 1", "2 3 2 3 0 1"]),
        ("several_nodes.sh", ["--ntasks-per-node=2"], ["0 4 0 2 0 2", "1 4 1 2 0 2", "2 4 0 2 1 2", "3 4 1 2 1 2"]),
        ("preemptible.sh", ["--ntasks-per-node=1"], ["alone"]),
        ("seeds.sh", ["--array=0-1"], ["alone"]),
    ],
)
def test_scripts_start_the_ranks_they_say(
    script: str, options: list[str], ranks: list[str], submit: Submit, tmp_path: Path
) -> None:
    """In place of Python a program that notes who it is and what it was asked to run."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        f"{sys.executable} - \"$@\" <<'END' >> started\n"
        "import os, sys\n"
        "from launch.ranks import name_ranks_of_srun\n"
        "name_ranks_of_srun()\n"
        "names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'LOCAL_WORLD_SIZE', 'GROUP_RANK', 'GROUP_WORLD_SIZE')\n"
        "who = ' '.join(os.environ[name] for name in names) if 'RANK' in os.environ else 'alone'\n"
        "sys.stdout.write(f'{who} {sys.argv[1:]}\\n')  # in one piece, also where output is not buffered\n"
        "END\n"
    )
    python.chmod(0o755)
    settings = ["max_kimg=1", "method.conditional=false"]
    done = submit(*options, f"examples/slurm/{script}", *settings, PYTHON=str(python), SLURM_ARRAY_TASK_ID="7")
    assert done.returncode == 0, done.stderr
    own = {
        "preemptible.sh": ["trainer=ddp", f"run_dir=runs/slurm-{JOB}", "resume=auto"],
        "seeds.sh": ["trainer=gpu", "seed=7"],
    }.get(script, ["trainer=ddp"])
    command = ["train.py", *own, *settings]
    assert sorted((tmp_path / "started").read_text().splitlines()) == [f"{rank} {command}" for rank in ranks]


def small(submit: Submit, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    options, settings = arguments[:2], arguments[2:]
    names = {"PYTHON": sys.executable, **environment}
    return submit(*options, f"examples/slurm/{script}", *SMALL_RUN, "trainer.accelerator=cpu", *settings, **names)


@pytest.mark.soak
def test_a_job_that_was_killed_goes_on_when_it_is_requeued(submit: Submit, tmp_path: Path) -> None:
    """A node dies after a checkpoint: no signal, no farewell; two ranks."""
    last = tmp_path / "runs" / f"slurm-{JOB}" / "checkpoints" / "last.ckpt"
    settings = ("max_kimg=0.96", "save_every_kimg=0.064")
    done = small(submit, "preemptible.sh", "--ntasks-per-node=2", "--nodes=1", *settings, PREEMPT_AT=str(last))
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(last)["images_seen"] == 960
    (result,) = (json.loads(line) for line in (last.parents[1] / "results.jsonl").read_text().splitlines())
    assert result["kimg"] == 0.96
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [f"slurm-{JOB}"]
    assert done.stderr.count("MEMBER: 2/2") == 2, "it was started twice"


@pytest.mark.soak
@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("one_node.sh", ("--nodes=1", "--ntasks-per-node=2")),
        ("several_nodes.sh", ("--nodes=2", "--ntasks-per-node=1")),
    ],
)
def test_scripts_train(script: str, options: tuple[str, str], submit: Submit, tmp_path: Path) -> None:
    done = small(submit, script, *options, "max_kimg=0.032")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs" / "none" / "poly_inr-digits").iterdir()
    assert run.name.startswith(f"slurm-{JOB}-")
    assert (run / "checkpoints" / "last.ckpt").exists()
    done = small(submit, script, *options, "max_kimg=0.032", f"run_dir={run}")
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1


def test_the_folder_of_a_job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"experiment_name": "poly_inr/digits", "run_dir": None, "resume": "never", "seed": 0}
    assert run_dir_of_job(config) is None
    with pytest.raises(ValueError, match="give run_dir=<folder>"):
        choose_run_dir(config | {"resume": "auto"})
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    path, resume = choose_run_dir(config)
    assert path.parent == Path("runs/poly_inr/digits")
    assert path.name.startswith("slurm-77-")
    assert resume == "never"
    assert choose_run_dir(config)[0] == path, "the same job and settings, the same folder"
    assert choose_run_dir(config | {"seed": 1})[0] != path, "a job that trains twice"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert choose_run_dir(config)[0].name == path.name.replace("77", "70_3")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID")

    path.mkdir(parents=True)
    (path / "config.yaml").touch()
    assert choose_run_dir(config)[0].parent == new_run_dir("poly_inr/digits").parent
    assert not choose_run_dir(config)[0].name.startswith("slurm"), "the same again, in a job that was not requeued"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert choose_run_dir(config) == (path, "auto")
    assert choose_run_dir(config | {"run_dir": "here"}) == (Path("here"), "auto")
    assert "restarted by SLURM: resume=auto in here" in capsys.readouterr().out


def test_a_requeued_job_that_began_from_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"experiment_name": "x", "run_dir": "here", "resume": "old.ckpt"}
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert choose_run_dir(config) == (Path("here"), "old.ckpt"), "it had saved nothing of its own"
    Path("here/checkpoints").mkdir(parents=True)
    Path("here/checkpoints/last.ckpt").touch()
    assert choose_run_dir(config) == (Path("here"), "auto")
