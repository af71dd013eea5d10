#!/bin/sh
# The commands behind the shipped weights. Needs kouxing[train,text]; DATA is a folder with manifest.csv, clips/ and tracks/.
#
#   CPU, 2 cores: speech 13 minutes each (phones first, from synthetic speech), shape reader 4 minutes (trained by the first `train lips`), fast 40, fine 100; 4 GB of memory for an hour of footage, and 2 for each further one.
#   One GPU:      add --device cuda; raise --batch and --steps.
#
# Every run goes on where it was stopped when the same line is given again. At its end a run folder also holds the weights as
# ONNX with their cards: KOUXING_WEIGHTS=runs/lips-fast-sharp:runs/speech:runs/front:runs/multimodal tries them, copying them into src/kouxing/weights ships them.
#
# One's own footage: kouxing prepare FOOTAGE -o DATA --licence own --split 0.8/0.1/0.1 --landmarker face_landmarker.task
#   Without --landmarker the coefficients are read by the shipped network, so that what learns them (mouth, expression, multimodal)
#   descends from it, licence included, and `train coefficients` refuses them. A lip reader needs clips whose words are known: without
#   DATA/align/ID.align or GRID's names leave out `train lipreader`, --lipreader and --weight lipread=….
set -eu
data=${1:?usage: recipes/train.sh DATA}
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# Needs tracks with `blendshapes` of MediaPipe's face_landmarker.task; 3 minutes on one core, and tracking all clips once.
kouxing train coefficients --data "$data" --out runs/coefficients
# Which clips are in step, single words too, as the shipped discriminator tells; 2 minutes. (By one's own alone: train speech without
# --set2, then train sync, then train speech anew, with other --out folders and --set2 runs/sync-0/set2.csv.)
mkdir -p runs
python recipes/in_step.py --data "$data" --out runs/in_step.csv
# Phones are also learned from people's voices where Debian's non-free `espeak-ng mbrola mbrola-us1 ...` are installed.
# Four seeds, averaged: strangers are heard better by several than by any one. (What ships averages five, of clips that nobody put in step.)
for seed in 0 1 2 3; do kouxing train speech --data "$data" --set2 runs/in_step.csv --seed "$seed" --out "runs/speech-$seed"; done
kouxing train ears --data "$data" --run runs/speech-0 --run runs/speech-1 --run runs/speech-2 --run runs/speech-3 --out runs/speech
# Files are heard through the front (src/kouxing/weights/front.onnx; recipes/front.py cuts it anew); 4 minutes each. Dubs hear with this and runs/speech.
for seed in 0 1 2; do kouxing train speech --data "$data" --front --set2 runs/in_step.csv --steps 500 --seed "$seed" --out "runs/front-$seed"; done
kouxing train ears --data "$data" --run runs/front-0 --run runs/front-1 --run runs/front-2 --out runs/front
kouxing train expression --data "$data" --speech runs/front --out runs/expression
# What teaches `mouth`, and `multimodal` what has no face, hears log-mel.
kouxing train expression --data "$data" --speech runs/speech --out runs/expression-mel
kouxing train mouth --data "$data" --expression runs/expression-mel --speech runs/speech --steps 2000 --out runs/mouth
# For live streams: a front that waits 96 ms, taught by that of files (20 minutes, no labels), and ears behind it, which take it from KOUXING_WEIGHTS.
kouxing train front --data "$data" --out runs/front_live
for seed in 0 1 2; do KOUXING_WEIGHTS=runs/front_live kouxing train speech --data "$data" --front --live --set2 runs/in_step.csv --steps 500 --seed "$seed" --out "runs/live-$seed"; done
KOUXING_WEIGHTS=runs/front_live kouxing train ears --data "$data" --run runs/live-0 --run runs/live-1 --run runs/live-2 --out runs/live
KOUXING_WEIGHTS=runs/front_live kouxing train expression --data "$data" --speech runs/live --out runs/expression-live
# Text, speech and mouth pictures together, and the aligner; needs kouxing[text]. It hears as dubs do, with the weights in use: without
# KOUXING_WEIGHTS that would be the shipped ones. What ships was trained with --texts runs/texts as well, what people in the wild say (recipes/transcribe.py, which needs npm). 30 minutes
# on one core, most of it hearing, once.
KOUXING_WEIGHTS=runs/front:runs/speech kouxing train multimodal --data "$data" --speech runs/speech --expression runs/expression-mel --out runs/multimodal
# Mouths are painted from what dubs hear: the shapes of both ears, and which phones are said, of multimodal's. One that is not named is the shipped
# one, licence included.
KOUXING_WEIGHTS=runs/front:runs/speech:runs/multimodal kouxing train lips --data "$data" --preset fast --out runs/lips-fast
# Three stages each; the first run also trains the baseline of one stage and spoils clips to judge the filter. The filter trains stage 1 nine times (25 to 60 minutes on one core),
# the rest takes 8 minutes a run; further runs may take the first one's decisions. (What ships averages three, two of them of an older filter.)
kouxing train sync --data "$data" --speech runs/speech-0 --baseline --spoiled --out runs/sync-0
for seed in 1 2; do
    kouxing train sync --data "$data" --speech "runs/speech-$seed" --seed "$seed" --set2 runs/sync-0/set2.csv --out "runs/sync-$seed"
done
kouxing train judges --data "$data" --run runs/sync-0 --run runs/sync-1 --run runs/sync-2 --out runs/sync
# The picture made sharp: critics, and the discriminator and a lip reader as frozen experts. Hours on one core.
kouxing train lipreader --data "$data" --out runs/lipreader
# Another one, which trains nothing and judges: kouxing evaluate lipreading --run runs/lipreader-1; 33 minutes each.
kouxing train lipreader --data "$data" --seed 1 --out runs/lipreader-1
KOUXING_WEIGHTS=runs/front:runs/speech:runs/multimodal kouxing train lips --data "$data" --preset fast --start runs/lips-fast/best.safetensors --judge runs/sync --lipreader runs/lipreader \
    --weight gan=0.25 --weight sync=0.25 --weight landmarks=1.5 --weight perceptual=2 --gan-from 0 --steps 9000 \
    --out runs/lips-fast-sharp
# (What ships was driven by log-mel's encoder so far, and then trained on by what dubs hear: --start and --judge with the folder of those weights,
# --weight gan=0.25 --weight landmarks=1.5 --weight perceptual=2.5 --gan-from 0 --rate 3e-4 --steps 2500; fine with gan=0.2, 1450 steps. An hour each.)
# The fine network begins where the fast one ended; 100 minutes on one core.
KOUXING_WEIGHTS=runs/front:runs/speech:runs/multimodal kouxing train lips --data "$data" --preset fine --start runs/lips-fast-sharp/best.safetensors --judge runs/sync --lipreader runs/lipreader \
    --weight gan=0.2 --weight sync=0.25 --weight landmarks=1.5 --weight perceptual=2.5 --gan-from 0 --steps 3000 --out runs/lips-fine
