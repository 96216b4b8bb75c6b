#!/bin/bash
# One node, a rank a GPU:
#   sbatch examples/slurm/one_node.sh experiment=poly_inr/digits
#   sbatch --ntasks-per-node=8 --gpus-per-node=8 examples/slurm/one_node.sh experiment=poly_inr/digits seed=1
# The run lies in runs/<experiment>/slurm-<job id>-<4 hex of the settings>, where a requeued job finds it and goes on.
#SBATCH --job-name=polymorph
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
# --gpus-per-node, not --gpus-per-task: every rank sees the GPUs of its node and takes its own.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR}"
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK}"

# srun says how many ranks there are; --kill-on-bad-exit ends all of them when one fails.
srun --cpus-per-task="${SLURM_CPUS_PER_TASK}" --kill-on-bad-exit=1 \
  "${PYTHON:-.venv/bin/python}" train.py trainer=ddp "$@"
