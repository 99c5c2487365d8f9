#!/usr/bin/env bash
# How the shipped checkpoint `base` was made: from the mocap folder named by EXUVIA_DATA to the weights in packages/base.
# Every command continues where it was stopped; on two cores the whole takes about two hours.
set -euo pipefail
data="${EXUVIA_DATA:-../shared/data}/mocap"
run="${1:-runs/base}"

exuvia prepare "$data" stores/mocap

exuvia prepare synthetic stores/synthetic --count 3000 --no-mirror

# Everything learns from real and synthetic clips: clear strikes are rare in the real ones.
corpus=(--corpus.data stores/mocap stores/synthetic --corpus.shares 0.7 0.3 --corpus.sensors optical synthetic)

exuvia train tokenizer --out "$run/tokenizer" "${corpus[@]}" \
  --model.width 192 --model.code-dim 192 --model.dropout 0 \
  --train.steps 6000 --train.lr 1e-3 --train.warmup 50 --train.ema 0.995 --train.precision bf16 \
  --train.validate-every 500

# The three models over codes can be trained at the same time, one core each.
codes=(--tokenizer "$run/tokenizer" "${corpus[@]}" --train.precision bf16 --train.clip-norm 1)
small=(--model.text-dim 384 --model.code-dim 192 --model.table-length 64 --model.text-positions 32 --model.dropout 0.1)

exuvia train mask --out "$run/mask" "${codes[@]}" "${small[@]}" \
  --model.width 256 --model.inner-width 512 --model.num-layers 6 --model.num-heads 4 \
  --train.steps 2600 --train.lr 5e-4 --train.ema 0.999 --train.weight-decay 0.01 --train.validate-every 500

exuvia train residual --out "$run/residual" "${codes[@]}" "${small[@]}" \
  --model.width 192 --model.inner-width 384 --model.num-layers 4 --model.num-heads 4 \
  --train.steps 2000 --train.lr 5e-4 --train.ema 0.999 --train.weight-decay 0.01 --train.validate-every 500

exuvia train length --out "$run/length" "${codes[@]}" --model.text-dim 384 --model.hidden 128 64 \
  --train.steps 1500 --train.lr 1e-3 --train.validate-every 500

exuvia train evaluator --out "$run/evaluator" --data stores/mocap --task.sensors optical \
  --train.steps 700 --train.lr 5e-4 --train.warmup 100 --train.ema 0.995 --train.precision bf16 \
  --train.clip-norm 1 --train.validate-every 350

exuvia train classifier --out "$run/classifier" --data stores/mocap stores/synthetic \
  --task.sensors optical synthetic --train.steps 500 --train.lr 1e-3 --train.warmup 50 --train.ema 0.995 \
  --train.weight-decay 0.01 --train.clip-norm 1 --train.validate-every 250

exuvia train retrieval --out "$run/retrieval" --data stores/mocap --task.sensors optical \
  --train.steps 1200 --train.lr 5e-4 --train.warmup 50 --train.ema 0.995 --train.precision bf16 \
  --train.clip-norm 1 --train.validate-every 300

weights=packages/base/src/exuvia_base
exuvia checkpoint pack --tokenizer "$run/tokenizer" --mask "$run/mask" --residual "$run/residual" --length "$run/length" \
  --statistics stores/mocap --half --card configs/base-card.md --out "$weights/base" \
  --generation.residual-temperature 0.5 --generation.residual-scale 2
exuvia checkpoint shrink "$run/evaluator" "$weights/evaluator"
exuvia checkpoint shrink "$run/classifier" "$weights/classifier"
exuvia checkpoint shrink "$run/retrieval" "$weights/retrieval"
