#!/usr/bin/env bash
# How the shipped checkpoint `base` was made: from the mocap folder named by EXUVIA_DATA to src/exuvia/weights.
# Every command continues where it was stopped; on two cores the whole takes about two hours.
set -euo pipefail
data="${EXUVIA_DATA:-../shared/data}/mocap"
run="${1:-runs/base}"

exuvia prepare "$data" stores/mocap

exuvia train tokenizer --out "$run/tokenizer" --corpus.data stores/mocap --corpus.sensors optical \
  --model.width 192 --model.code-dim 192 --model.dropout 0 \
  --train.steps 4500 --train.lr 1e-3 --train.warmup 50 --train.ema 0.995 --train.precision bf16 \
  --train.validate-every 500

exuvia train evaluator --out "$run/evaluator" --data stores/mocap --task.sensors optical \
  --train.steps 2500 --train.lr 5e-4 --train.precision bf16 --train.clip-norm 1 --train.validate-every 250
