"""Sequential modulation against concatenation and a contrastive shared space: same data, steps and number of weights.

    python recipes/multimodal_joins.py DATA RUNS SPEECH EXPRESSION [STEPS [TEXTS]]

RUNS is the folder that holds `multimodal/` of `kouxing train multimodal`; the others are its options. Prints, on `val`,
correlation and closure F1 of each subset, clean and at 0 dB, and how much of the voice's loudness and colour (spectral
slope) a linear map reads from the mouth feature of text and speech. Means go to docs/figures/multimodal.json.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kouxing.data.animate import load_takes
from kouxing.data.multimodal import Clip, MultimodalWindows
from kouxing.data.multimodal_heard import Version
from kouxing.eval import figures as pages
from kouxing.eval.multimodal_tone import probe, tone
from kouxing.models.multimodal import JOINS, Multimodal, MultimodalDimensions
from kouxing.train import multimodal as recipe
from kouxing.train.loop import train
from kouxing.train.mouth import spread
from kouxing.types import Float

PROBED = 150


def told(model: Multimodal, clips: list[Clip], versions: list[Version]) -> tuple[Float, Float]:
    """Mouth features ``[N, D]`` of text and speech, and the tone ``[N, 2]`` of the same frames."""
    rows, wanted = [], []
    for clip, version in zip(clips, versions, strict=True):
        there = (int(clip.text is not None), 1, 0)
        rows.append(recipe.predict(model, clip, version, there)[2])
        wanted.append(tone(version.mel.astype(np.float32)))
    return np.concatenate(rows), np.concatenate(wanted)


def main() -> None:
    data, runs, speech, expression = map(Path, sys.argv[1:5])
    texts = Path(sys.argv[6]) if len(sys.argv) > 6 else None
    schedule = replace(recipe.PRESETS["multimodal"], steps=int(sys.argv[5]) if len(sys.argv) > 5 else 250)
    _, ear = recipe.load(runs / "multimodal")
    clips, versions = recipe.prepare(
        data, load_takes(data, "train"), ear, speech=speech, expression=expression, texts=texts,
        folder=runs / "multimodal", seed=schedule.seed,
    )  # fmt: skip
    held_out = recipe.hold_out(data, load_takes(data, "val"), ear, texts)
    real = [place for place, clip in enumerate(clips) if clip.pictures is not None]
    chosen = [real[place] for place in np.random.default_rng(0).permutation(len(real))[:PROBED]]
    learn = [clips[place] for place in chosen], [versions[0][place] for place in chosen]
    found: dict[str, float] = {}
    for joins in JOINS:
        windows = MultimodalWindows(clips, versions, recipe.FRAMES, schedule.batch, schedule.seed)
        torch.manual_seed(schedule.seed)
        model = Multimodal(MultimodalDimensions(joins=joins))
        task = recipe.MultimodalTask(model, windows, held_out, spread([clip.take for clip in clips]))
        quick = replace(schedule, validate_every=schedule.steps)
        config = {"joins": joins, "heard": recipe.hearing_of(ear).digest, "clips": len(clips)}
        best = train(task, quick, runs / f"joins-{joins}", "cpu", config, lambda line: None)
        assert isinstance(best, Multimodal)
        figures = task.validate(best, runs, 0)
        tones = probe(told(best, *learn), told(best, held_out.clips, held_out.clean))
        size = sum(value.numel() for value in best.join.parameters())
        print(
            joins, f"{size} numbers", "  ".join(f"{name} R2 {value:.3f}" for name, value in tones.items()), flush=True
        )
        print(
            "  " + "  ".join(f"{name.removeprefix('val/')} {value:.3f}" for name, value in figures.items()), flush=True
        )
        found[f"joins_{joins}_r"] = float(np.mean([value for name, value in figures.items() if name.endswith("_r")]))
        found |= {f"joins_{joins}_{name}_r2": value for name, value in tones.items()}
    more = " TEXTS" if texts else ""
    command = f"python recipes/multimodal_joins.py DATA RUNS SPEECH EXPRESSION {schedule.steps}{more}"
    pages.write("multimodal", command, found)


if __name__ == "__main__":
    main()
