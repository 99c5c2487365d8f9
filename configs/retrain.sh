#!/usr/bin/env bash
# The yardstick D_r: `base` trained again, by the same commands, on clips that do not show a concept.
#   configs/retrain.sh violence            needs the stores that configs/base.sh prepares
# Every command continues where it was stopped; on two cores the whole takes about two hours.
set -euo pipefail
concept="${1:?name the concept to do without, for instance violence}"
run="${2:-runs/retrain-$concept}"

corpus=(--corpus.data stores/mocap stores/synthetic --corpus.shares 0.7 0.3 --corpus.sensors optical synthetic
  --corpus.without "$concept")

exuvia train tokenizer --out "$run/tokenizer" "${corpus[@]}" \
  --model.width 192 --model.code-dim 192 --model.dropout 0 \
  --train.steps 6000 --train.lr 1e-3 --train.warmup 50 --train.ema 0.995 --train.precision bf16 \
  --train.validate-every 500

# The three models over codes, at the same time: one core each where there are several.
codes=(--tokenizer "$run/tokenizer" "${corpus[@]}" --train.precision bf16 --train.clip-norm 1)
small=(--model.text-dim 384 --model.code-dim 192 --model.table-length 64 --model.text-positions 32 --model.dropout 0.1)

exuvia train length --out "$run/length" "${codes[@]}" --model.text-dim 384 --model.hidden 128 64 \
  --train.steps 1500 --train.lr 1e-3 --train.validate-every 500

exuvia train mask --out "$run/mask" "${codes[@]}" "${small[@]}" \
  --model.width 256 --model.inner-width 512 --model.num-layers 6 --model.num-heads 4 \
  --train.steps 2600 --train.lr 5e-4 --train.ema 0.999 --train.weight-decay 0.01 --train.validate-every 500 &
mask=$!

exuvia train residual --out "$run/residual" "${codes[@]}" "${small[@]}" \
  --model.width 192 --model.inner-width 384 --model.num-layers 4 --model.num-heads 4 \
  --train.steps 2000 --train.lr 5e-4 --train.ema 0.999 --train.weight-decay 0.01 --train.validate-every 500
wait "$mask"

exuvia checkpoint pack --tokenizer "$run/tokenizer" --mask "$run/mask" --residual "$run/residual" --length "$run/length" \
  --statistics stores/mocap --half --card configs/base-card.md --out "$run/packed" \
  --generation.residual-temperature 0.5 --generation.residual-scale 2
