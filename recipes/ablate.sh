#!/bin/sh
# What each part of `mouth` and `expression` brings, all rows trained alike: recipes/ablate.sh DATA [STEPS]
# Held-out figures (`val`) of each row lie in runs/ablate/ROW/mouth.json and expression.json, under "figures".
# One core: about a third of a second a step for `mouth`, a tenth for `expression`; phone pre-training once, 3 minutes.
set -eu
data=${1:?usage: recipes/ablate.sh DATA [STEPS]}
steps=${2:-300}
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

row() {
    name=$1
    shift
    kouxing train mouth --data "$data" --out "runs/ablate/$name" --steps "$steps" "$@"
}
row whole
row no-masking --no-masking
row no-attention --no-attention
row no-similarity --no-similarity
row no-phones --no-phones
kouxing train expression --data "$data" --speech runs/speech --out runs/ablate/expression --steps "$steps"
kouxing train expression --data "$data" --speech runs/speech --out runs/ablate/no-closure --steps "$steps" --no-closure
