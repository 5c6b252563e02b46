#!/bin/bash
#SBATCH --job-name=bginv
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
# sbatch examples/cluster/slurm.sh COMMAND ARGUMENTS: bginv on each node of the job, as one training.
set -euo pipefail
first_port=${FIRST_PORT:-12345}
workers=$(scontrol show hostnames "$SLURM_JOB_NODELIST" |
	awk -v port="$first_port" '{ printf "%s\"%s:%d\"", (NR > 1 ? ", " : ""), $1, port + NR - 1 }')
export workers
# shellcheck disable=SC2016  # each task has a number of its own
srun bash -c '
	export TF_CONFIG="{\"cluster\": {\"worker\": [$workers]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
	exec bginv "$@" --distribute multiworker
' bginv "$@"
