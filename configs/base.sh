#!/usr/bin/env bash
# How the shipped generators are made, from the mocap folder named by EXUVIA_DATA:
#   configs/base.sh judges                evaluator, classifier and retrieval model, from all free data
#   configs/base.sh trunk                 what all have in common, from free data without violence, kicks and throws
#   configs/base.sh base-free             the default generator: the trunk, trained on with all free data
#   configs/base.sh base                  the research generator: the trunk, trained on with all data
#   configs/base.sh retrain-violence      a yardstick: as base-free, without the clips of a concept (or -kick, -throw)
# The generators of this recipe are not shipped yet. The shipped `base` was made by this file as of commit b269669,
# and the shipped yardsticks by retrain.sh.
# A yardstick never meets its concept, because the trunk does not; and all of them share most of the training.
# Every command continues where it was stopped. One thread each: the trunk takes about three hours, the others one.
set -euo pipefail
name="${1:?name what to make: judges, trunk, base-free, base or retrain-CONCEPT}"
run="runs/$name"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" OMP_WAIT_POLICY=passive

real=stores/free without=() start=runs/trunk
case "$name" in
  trunk) start="" without=(--corpus.without violence kick throw) ;;
  base) real=stores/mocap ;;
  retrain-*) without=(--corpus.without "${name#retrain-}") ;;
esac
free=(--commercial)
[ "$real" = stores/free ] || free=()
exuvia prepare "${EXUVIA_DATA:-../shared/data}/mocap" "$real" "${free[@]}"
exuvia prepare synthetic stores/synthetic --count 12000 --no-mirror

corpus=(--corpus.data "$real" stores/synthetic --corpus.source-power 0.7
  --corpus.sensors optical synthetic "${without[@]}")
if [ "$name" = judges ]; then
  loop=(--train.ema 0.995 --train.clip-norm 1 --train.validate-every 250)
  exuvia train evaluator --out "$run/evaluator" "${corpus[@]}" --corpus.shares 0.6 0.4 \
    --train.steps 1500 --train.lr 5e-4 --train.warmup 100 --train.precision auto "${loop[@]}"
  exuvia train classifier --out "$run/classifier" "${corpus[@]}" --corpus.shares 0.5 0.5 \
    --train.steps 750 --train.lr 1e-3 --train.warmup 50 --train.weight-decay 0.01 "${loop[@]}"
  exuvia train retrieval --out "$run/retrieval" "${corpus[@]}" --corpus.shares 0.6 0.4 \
    --train.steps 1500 --train.lr 5e-4 --train.warmup 50 --train.precision auto "${loop[@]}"
  exit 0
fi
# steps of the trunk, or of what follows it
steps() { if [ -z "$start" ]; then echo "$1"; else echo "$2"; fi; }
from() { if [ -n "$start" ]; then echo "--start $start/$1"; fi; }

tokenizer=("${corpus[@]}" --corpus.shares 0.6 0.4 --model.width 256 --model.code-dim 192 --model.dropout 0
  --model.temperature 0 --commit-weight 0.25 --train.optimizer muon --train.warmup 50 --train.ema 0.995
  --train.clip-norm 1 --train.precision auto --train.validate-every 500)
if [ -z "$start" ]; then
  exuvia train tokenizer --out "$run/first" "${tokenizer[@]}" --train.steps 5000 --train.lr 1e-3
fi
exuvia train tokenizer --out "$run/tokenizer" --start "$([ -n "$start" ] && echo "$start/tokenizer" || echo "$run/first")" \
  "${tokenizer[@]}" --variants --train.steps "$(steps 1500 700)" --train.lr "$(steps 5e-4 3e-4)"

# The models over codes, at the same time. The trunk's mask transformer was ended after step 3602, when validation had not
# improved for 500 steps, by a signal and `exuvia checkpoint finish runs/trunk/mask`.
judged=()
[ -z "$start" ] || judged=(--judge runs/judges/evaluator --train.best r3)
codes=(--tokenizer "$run/tokenizer" "${corpus[@]}" --corpus.shares 0.45 0.55 --train.optimizer muon --train.precision auto --train.clip-norm 1
  --train.ema 0.998 --train.weight-decay 0.01 --train.validate-every 500)
small=(--model.text-dim 384 --model.code-dim 192 --model.table-length 64 --model.text-positions 32 --model.dropout 0.1)

# shellcheck disable=SC2046
exuvia train mask --out "$run/mask" $(from mask) "${codes[@]}" "${small[@]}" \
  --model.width 256 --model.inner-width 512 --model.num-layers 6 --model.num-heads 4 \
  --train.steps "$(steps 5000 1500)" --train.lr "$(steps 1e-3 5e-4)" "${judged[@]}" &
mask=$!
# shellcheck disable=SC2046
exuvia train residual --out "$run/residual" $(from residual) "${codes[@]}" "${small[@]}" \
  --model.width 192 --model.inner-width 384 --model.num-layers 4 --model.num-heads 4 \
  --train.steps "$(steps 4000 1200)" --train.lr "$(steps 1e-3 5e-4)"
wait "$mask"
[ -n "$start" ] || exit 0

exuvia train length --out "$run/length" --tokenizer "$run/tokenizer" "${corpus[@]}" --corpus.shares 0.45 0.55 \
  --train.precision auto --train.clip-norm 1 --model.text-dim 384 --model.hidden 128 64 --train.steps 1500 --train.lr 1e-3 \
  --train.validate-every 500

exuvia checkpoint pack --tokenizer "$run/tokenizer" --mask "$run/mask" --residual "$run/residual" --length "$run/length" \
  --statistics "$real" --half --card "configs/$name-card.md" --out "$run/packed" \
  --generation.residual-temperature 0.5 --generation.residual-scale 2
