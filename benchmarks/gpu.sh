#!/bin/bash
# benchmarks/gpu.sh SHARED [--smoke]: all that a machine with an NVIDIA GPU must show, as one JSON object, in ten minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
shared=${1:?benchmarks/gpu.sh SHARED [--smoke], where SHARED holds seven/}
shift
if command -v nvidia-smi > /dev/null; then
	nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >&2
fi
PYTHONPATH=. exec timeout 900 "${PYTHON:-python}" benchmarks/gpu.py --shared "$shared" "$@"
