#!/bin/bash
# A partition whose jobs are taken away, and long runs in pieces of the time limit:
#   sbatch examples/slurm/preemptible.sh experiment=poly_inr/digits
# SLURM sends SIGUSR1 to every rank two minutes before the end of the time (and SIGTERM where it preempts); a requeued
# job, also one whose node died without a word, goes on from checkpoints/last.ckpt in the folder named below.
#SBATCH --job-name=polymorph
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=USR1@120
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
set -euo pipefail
cd "${SLURM_SUBMIT_DIR}"
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK}"

# A requeued job keeps its number: the folder is the same, and resume=auto starts a run or continues it.
srun --cpus-per-task="${SLURM_CPUS_PER_TASK}" --kill-on-bad-exit=1 \
  "${PYTHON:-.venv/bin/python}" train.py trainer=ddp run_dir="runs/slurm-${SLURM_JOB_ID}" resume=auto "$@"
