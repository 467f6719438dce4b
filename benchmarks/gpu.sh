#!/usr/bin/env bash
# The first hour of a GPU in at most nine minutes, in one command: whether every kernel is right there, how fast
# it is beside the bound, whole cases through slots, and decoding. Everything that is told lies in FOLDER.
#
#   bash benchmarks/gpu.sh [FOLDER]          # FOLDER: gpu-results; PYTHON names the interpreter
#
# Needs an environment with the extras cuda12 or cuda13, test and bench (nvcomp12 or nvcomp13 for decoding). A
# step that fails or takes too long is told, and the next one begins. The exit code is 1 where one failed.
set -uo pipefail
cd "$(dirname "$0")/.."

folder=${1:-gpu-results}
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
limit=540
failed=0
mkdir -p "$folder"
summary=$folder/summary.txt
: > "$summary"

# step NAME SECONDS COMMAND...: its output goes to NAME.txt, a line about it to the summary.
step() {
  local name=$1 most=$2 left=$((limit - SECONDS)) begin=$SECONDS code
  shift 2
  if [ "$left" -lt 5 ]; then
    echo "$name: not begun, $limit s are over" | tee -a "$summary"
    failed=1
    return
  fi
  timeout --kill-after=10 "$((most < left ? most : left))" "$@" > "$folder/$name.txt" 2>&1
  code=$?
  [ "$code" = 0 ] || failed=1
  [ "$code" = 124 ] && code="124, too slow"
  echo "$name: exit code $code after $((SECONDS - begin)) s; $(tail -n 1 "$folder/$name.txt")" | tee -a "$summary"
}

if ! "$python" -c "import cupy; assert cupy.cuda.is_available()" > "$folder/cupy.txt" 2>&1; then
  echo "no GPU answers through CuPy with $python: $(tail -n 1 "$folder/cupy.txt")" | tee -a "$summary"
  exit 2
fi
"$python" -c "import cupy; cupy.show_config()" > "$folder/cupy.txt" 2>&1
command -v nvidia-smi > /dev/null && nvidia-smi -q > "$folder/nvidia-smi.txt" 2>&1
"$python" -m pip freeze > "$folder/packages.txt" 2> /dev/null

step doctor 100 "$python" -m gpuprep doctor --gpu --out "$folder/doctor.json"
step kernels 150 "$python" -m pytest tests/kernels -m gpu -q
step decode 60 "$python" -m pytest tests/training/test_decode_device.py -m "gpu or not gpu" -q
step engine 120 "$python" benchmarks/engine.py --only cuda --rounds 10 --out "$folder/engine.json"
step slots 150 "$python" benchmarks/slots.py --slots 1 3 --cases 60 --out "$folder/slots.json"
if command -v compute-sanitizer > /dev/null; then
  # without CuPy's pool, so that what is beyond an array is beyond its memory
  step memcheck 120 env GPUPREP_NO_POOL=1 compute-sanitizer --tool memcheck --error-exitcode 9 \
    "$python" -m pytest tests/kernels/test_resample.py tests/kernels/test_labels.py -m gpu -q -x
fi
echo "everything is in $folder: send it to us"
exit "$failed"
