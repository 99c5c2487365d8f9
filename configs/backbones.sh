#!/usr/bin/env bash
# Generators of base codes with other backbones, of equal size and with equal training, in the place of the one in `base`.
#   configs/backbones.sh [NAME ...]         needs the stores that configs/base.sh prepares; all without a name
# Every command continues where it was stopped; a generator takes about a quarter of an hour on one free core.
set -euo pipefail
names=("${@:-}")
[ -n "${names[0]}" ] || names=(transformer mamba serpent bamm causal-mamba causal-serpent serpent-paper serpent-s4d)
base=runs/base
run=runs/backbones

# The codes are those of the shipped `base`, and so is what turns them into motion.
[ -d "$base/tokenizer" ] || exuvia checkpoint unpack base "$base"

corpus=(--corpus.data stores/mocap stores/synthetic --corpus.shares 0.7 0.3 --corpus.sensors optical synthetic)
train=(--train.precision bf16 --train.clip-norm 1 --train.steps 2000 --train.lr 5e-4 --train.ema 0.999
  --train.weight-decay 0.01 --train.validate-every 500)
sizes=(--model.text-dim 384 --model.code-dim 192 --model.text-positions 32 --model.dropout 0.1)
attention="--model.num-heads 4 --model.table-length 64"
# SeRpEnt with one branch at the full rate and two compressed ones, mixed channel by channel: what did best in
# docs/results/sequence.md. serpent-paper has the rates of the paper's Figure 3.
multi="--model.backbone.mixer serpent --model.backbone.serpent.rates 1 0.5 0.3 --model.backbone.serpent.mix depthwise"

# 1.44 to 1.63 million trained numbers each; `python -m lab backbones` counts them.
declare -A kind=(
  [transformer]="mask $attention --model.width 192 --model.inner-width 384 --model.num-layers 4"
  [mamba]="mask $attention --model.backbone.mixer mamba --model.width 148 --model.num-layers 4"
  [serpent]="mask $attention $multi --model.width 192 --model.num-layers 4"
  [serpent-paper]="mask $attention --model.backbone.mixer serpent --model.width 176 --model.num-layers 4"
  [serpent-s4d]="mask $attention --model.backbone.mixer serpent --model.backbone.serpent.over s4d --model.width 208 --model.num-layers 4"
  [bamm]="bamm $attention --model.width 192 --model.inner-width 384 --model.num-layers 4"
  [causal-mamba]="causal --model.backbone.mixer mamba --model.width 208 --model.num-layers 4"
  [causal-serpent]="causal $multi --model.width 240 --model.num-layers 4"
)

for name in "${names[@]}"; do
  read -ra model <<<"${kind[$name]}"
  exuvia train "${model[0]}" --out "$run/$name/run" --tokenizer "$base/tokenizer" "${corpus[@]}" "${train[@]}" \
    "${sizes[@]}" "${model[@]:1}"
  exuvia checkpoint pack --tokenizer "$base/tokenizer" --mask "$run/$name/run" --residual "$base/residual" --length "$base/length" \
    --statistics stores/mocap --out "$run/$name/packed" \
    --generation.residual-temperature 0.5 --generation.residual-scale 2
done
