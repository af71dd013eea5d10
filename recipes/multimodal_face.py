"""Both face generators of `multimodal` (methods.md section 5), trained for the same steps, beside `lips` `fast`.

    python recipes/multimodal_face.py DATA OUT MULTIMODAL LIPS [STEPS [CLIPS]]

MULTIMODAL and LIPS are run folders of `kouxing train multimodal` and `train lips --preset fast`
(beside which the shape reader lies, in `shape/`). Prints, on `val`, how close, how sharp and how obedient the painted
lower faces are: of the variants from text, sound and mouth pictures as far as a clip has them, and from sound alone; of
`lips` from the speech encoder's features, and from the tracked ones.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kouxing.data.animate import load_takes
from kouxing.data.footage import Footage, load_footage
from kouxing.data.multimodal import Clip
from kouxing.data.multimodal_heard import Version
from kouxing.models.lips import PRESETS, Lips
from kouxing.models.multimodal_face import VARIANTS
from kouxing.models.shape import ShapeReader
from kouxing.train import multimodal
from kouxing.train import multimodal_face as recipe
from kouxing.train.loop import BEST, load_tensors
from kouxing.types import Float

HELD_OUT = {"grid": 4, "wild": 4}
FULL, SOUND = (1, 1, 1), (0, 1, 0)


def told(data: Path, split: str, counts: dict[str, int], run: Path) -> list[tuple[Footage, Clip, Version]]:
    """Some clips of a split, seen and heard."""
    _, ear = multimodal.load(run)
    footage = {clip.clip.id: clip for clip in load_footage(data, split)}
    takes = []
    for group, count in counts.items():
        fitting = [one for one in load_takes(data, split) if one.group == group and one.name in footage]
        takes += [fitting[place] for place in np.random.default_rng(0).permutation(len(fitting))[:count]]
    some = multimodal.hold_out(data, takes, ear, split=split)
    return [
        (footage[clip.take.name], clip, version)
        for clip, version in zip(some.clips, some.clean, strict=True)
        if clip.pictures is not None
    ]


def long(rows: Float, footage: Footage) -> Float:
    """Rows for every frame of the footage; the last one goes on."""
    return rows[np.minimum(np.arange(len(footage)), len(rows) - 1)]


def main() -> None:
    data, out, run, lips_run = map(Path, sys.argv[1:5])
    steps = int(sys.argv[5]) if len(sys.argv) > 5 else recipe.SCHEDULE.steps
    count = int(sys.argv[6]) if len(sys.argv) > 6 else 120
    schedule = replace(recipe.SCHEDULE, steps=steps, validate_every=max(1, steps // 2))
    model, _ = multimodal.load(run)
    known = told(data, "train", {"grid": count // 2, "wild": count // 2}, run)
    judged = told(data, "val", HELD_OUT, run)
    mouths = {
        footage.clip.id: [
            long(recipe.mouth_features(model, clip, version, there), footage)
            for there in recipe.SUBSETS
            if there[1] or (there[0] and clip.text is not None) or there[2]
        ]
        for footage, clip, version in known
    }
    held_out = {
        there: [(one, long(recipe.mouth_features(model, clip, heard, there), one)) for one, clip, heard in judged]
        for there in (FULL, SOUND)
    }
    reader = ShapeReader().eval().requires_grad_(False)
    load_tensors(reader, lips_run.parent / "shape" / BEST)
    lips = Lips(PRESETS["fast"])
    load_tensors(lips, lips_run / BEST)
    models: dict[str, nn.Module] = {"lips": lips, "lips, tracked": lips}
    inputs = {
        "lips": [(one, long(heard.heard.astype(np.float32), one)) for one, _, heard in judged],
        "lips, tracked": [(one, one.geometry) for one, _, _ in judged],
    }
    for variant in VARIANTS:
        made = recipe.learn(
            variant, lips, [one for one, _, _ in known], mouths, held_out[FULL], reader, out / variant, schedule,
            lambda line: print(line, flush=True),
        )  # fmt: skip
        for name, there in (("all", FULL), ("sound", SOUND)):
            models[f"{variant}, {name}"], inputs[f"{variant}, {name}"] = made, held_out[there]
    with torch.no_grad():
        for name, row in recipe.compared(models, inputs, reader).items():
            print(f"{name}: " + "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
