#!/bin/bash
# A run a seed, each a job of its own with one GPU:
#   sbatch --array=0-9 examples/slurm/seeds.sh experiment=poly_inr/digits
# The runs lie in runs/<experiment>/slurm-<array job>_<seed>-<4 hex of the settings>; a requeued one goes on.
#SBATCH --job-name=polymorph
#SBATCH --array=0-4
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=%x-%A_%a.log
#SBATCH --open-mode=append
set -euo pipefail
cd "${SLURM_SUBMIT_DIR}"
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK}"

srun --cpus-per-task="${SLURM_CPUS_PER_TASK}" \
  "${PYTHON:-.venv/bin/python}" train.py trainer=gpu seed="${SLURM_ARRAY_TASK_ID}" "$@"
