#!/usr/bin/env bash
# What needs a GPU, in stages that do not depend on each other:
#
#   OUT=results bash benchmarks/on_gpu.sh tests timing training table weights
#
#   tests     GPU against CPU: the loss, precisions, compiling, checkpoints; then chapters 5 and 6
#             from top to bottom (needs pytest and nbval; two minutes)
#   training  images per second of `fit`, the usual loop and the floor (four minutes)
#   timing    the convolutional VAE alone on the GPU: nats against seconds (half a minute)
#   table     the missing cells of Burda's table, trained all at once, then measured
#   weights   well-trained models, side by side with the table if both are asked for
#   pack-data puts the sets of VAE_TUTORIAL_DATA into .gpu_data, to be carried to another machine
#
# Needs no network. Results go to $OUT, a few .tar.gz files, again and again while a stage runs: what
# was finished before an end that comes too early is there. A stage that fails stops no other.
set -u
cd "$(dirname "$0")/.." || exit 1
OUT=${OUT:-runs/on_gpu} WORK=${WORK:-runs/on_gpu_work} PYTHON=${PYTHON:-python3}
mkdir -p "$OUT" "$WORK/logs"
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" VAE_TUTORIAL_PROGRESS=0

# Sets that were carried along, in the layout of torchvision.
unpack_data() {
  local to=/tmp/vae-data file set
  for file in .gpu_data/*.gz; do
    set=$(basename "${file%%-*}")
    mkdir -p "$to/$set/raw"
    gunzip -c "$file" >"$to/$set/raw/$(basename "${file#*-}" .gz)"
  done
  export VAE_TUTORIAL_DATA=$to
}
pack_data() {
  local file set
  mkdir -p .gpu_data
  for set in MNIST FashionMNIST; do
    for file in "$VAE_TUTORIAL_DATA/$set"/raw/*-ubyte; do
      gzip -9c "$file" >".gpu_data/$set-$(basename "$file").gz"
    done
  done
  du -sh .gpu_data
}
if compgen -G ".gpu_data/*-ubyte.gz" >/dev/null; then unpack_data; fi

# How long, and what. All can be set from outside.
TABLE_SECONDS=${TABLE_SECONDS:-200} # of training; measuring comes after it
TABLE_LIMIT=${TABLE_LIMIT:-320}
TABLE_OPTIONS=${TABLE_OPTIONS:---missing}
WEIGHTS=${WEIGHTS:-conv32 mlp2-small conv2 conv32-small conv50-big}
WEIGHTS_SECONDS=${WEIGHTS_SECONDS:-35} # of training at most, for each
WEIGHTS_LIMIT=${WEIGHTS_LIMIT:-300}
WEIGHTS_OPTIONS=${WEIGHTS_OPTIONS:-}
TIMING_SECONDS=${TIMING_SECONDS:-12}
TIMING_LIMIT=${TIMING_LIMIT:-60}
TESTS_LIMIT=${TESTS_LIMIT:-240}
TRAINING_LIMIT=${TRAINING_LIMIT:-240}
TRAINING_DEVICE=${TRAINING_DEVICE:-cuda}
TRAINING_OPTIONS=${TRAINING_OPTIONS:---batch-sizes 128 1024 8192 --repeats 3}
STEP=${STEP:-graph} # of fit; where it fails, the plain one

# limited SECONDS LOG COMMAND...
limited() {
  local seconds=$1 log=$WORK/logs/$2.log
  shift 2
  if [ "$seconds" -le 0 ]; then return 124; fi
  echo "\$ $*" >>"$log"
  timeout --kill-after=5 "$seconds" "$@" >>"$log" 2>&1
}

# packed NAME FILES...: $OUT/NAME.tar.gz, whole or not at all, of those files that exist
packed() {
  local name=$1 there=() file
  shift
  for file in "$@"; do if [ -e "$file" ]; then there+=("${file#"$WORK"/}"); fi; done
  if [ ${#there[@]} -eq 0 ]; then return; fi
  tar -C "$WORK" -czf "$WORK/$name.$BASHPID" "${there[@]}" 2>/dev/null
  mv "$WORK/$name.$BASHPID" "$OUT/$name.tar.gz"
}
pack() {
  local w=$WORK
  packed tests "$w"/logs/tests.log
  packed training "$w"/logs/training.log "$w"/training/*.json
  packed timing "$w"/logs/timing.log "$w"/timing/*.json
  packed table "$w"/logs/table.log "$w"/table/*.json "$w"/table-results/*.json
  packed table-weights-1layer "$w"/table/*-1layer-*.pt
  packed table-weights-2layer "$w"/table/*-2layer-*.pt
  packed weights "$w"/logs/weights.log "$w"/weights/*.json "$w"/weights/*-float16.pt
  packed weights-float32 "$w"/weights/[!-]*[!g]-seed*-float32.pt # without conv50-big
}

tests() {
  local start=$SECONDS code=0 chapters=(
    chapters/05_conv_vae.ipynb chapters/06_measuring.ipynb
    --nbval-lax --nbval-current-env --nbval-cell-timeout=200 --durations=5
  )
  limited "$TESTS_LIMIT" tests "$PYTHON" -m pytest -v tests/test_on_cuda.py || code=$?
  limited $((TESTS_LIMIT + start - SECONDS)) tests "$PYTHON" -m pytest "${chapters[@]}" || code=$?
  return $code
}

training() {
  limited "$TRAINING_LIMIT" training "$PYTHON" benchmarks/training.py $TRAINING_OPTIONS \
    --device "$TRAINING_DEVICE" --out "$WORK/training/training-$TRAINING_DEVICE.json"
}

timing() {
  local start=$SECONDS command=(
    "$PYTHON" benchmarks/well_trained.py --variants conv32 --curve-only --precision tf32
    --seconds "$TIMING_SECONDS" --fill --tag=-alone --out "$WORK/timing" $WEIGHTS_OPTIONS
  )
  limited "$TIMING_LIMIT" timing "${command[@]}" --step "$STEP" ||
    limited $((TIMING_LIMIT + start - SECONDS)) timing "${command[@]}" --step plain
}

table() {
  local start=$SECONDS command=(
    "$PYTHON" benchmarks/iwae_on_gpu.py --work "$WORK/table" --out "$WORK/table-results"
    $TABLE_OPTIONS
  )
  # After a crash, once more: what is trained is only measured, else there is less to train for.
  limited "$TABLE_LIMIT" table "${command[@]}" --seconds "$TABLE_SECONDS" ||
    limited $((TABLE_LIMIT + start - SECONDS)) table "${command[@]}" --capture serial \
      --seconds $(((TABLE_LIMIT + start - SECONDS) * 6 / 10))
}

weights() {
  local start=$SECONDS command=(
    "$PYTHON" benchmarks/well_trained.py --variants $WEIGHTS --precision tf32
    --seconds "$WEIGHTS_SECONDS" --out "$WORK/weights" $WEIGHTS_OPTIONS
  )
  limited "$WEIGHTS_LIMIT" weights "${command[@]}" --step "$STEP" --note "$NOTE" ||
    limited $((WEIGHTS_LIMIT + start - SECONDS)) weights "${command[@]}" --step plain --note "$NOTE"
}

# Further stages go here: a function of the stage's name, and a line in `pack`.

# stage NAME: run it, tell how it went, leave its results
stage() {
  local start=$SECONDS code
  "$1"
  code=$?
  echo "== $1: exit $code after $((SECONDS - start)) s"
  tail -n 15 "$WORK/logs/$1.log"
}

[ $# -gt 0 ] || set -- timing table weights
if [ "$1" = pack-data ]; then pack_data; exit; fi
echo "data: ${VAE_TUTORIAL_DATA:-where the package looks for it}; stages: $*"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null

while sleep 20; do pack; done &
packing=$!
NOTE="" beside=()
for name in "$@"; do
  if ! declare -F "$name" >/dev/null; then
    echo "there is no stage $name"
  elif [ "$name" = table ] && [[ " $* " = *" weights "* ]]; then
    NOTE="while the cells of Burda's table were being trained on the same GPU"
    stage table &
    beside+=($!)
  else
    stage "$name"
  fi
done
if [ ${#beside[@]} -gt 0 ]; then wait "${beside[@]}"; fi
kill $packing
wait $packing 2>/dev/null
pack
ls -l "$OUT"
