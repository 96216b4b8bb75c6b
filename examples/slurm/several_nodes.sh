#!/bin/bash
# Several nodes, a rank a GPU, all of them one run; the folder must be on a disk that all nodes share:
#   sbatch --nodes=4 examples/slurm/several_nodes.sh experiment=poly_inr/digits
#SBATCH --job-name=polymorph
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
set -euo pipefail
cd "${SLURM_SUBMIT_DIR}"
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK}"

# Rank 0 is on the first node of the allocation. Where nodes have several networks, name the one between them:
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0
MASTER_ADDR="$(scontrol show hostnames "${SLURM_JOB_NODELIST}" | head -n 1)"
export MASTER_ADDR

srun --cpus-per-task="${SLURM_CPUS_PER_TASK}" --kill-on-bad-exit=1 \
  "${PYTHON:-.venv/bin/python}" train.py trainer=ddp "$@"
