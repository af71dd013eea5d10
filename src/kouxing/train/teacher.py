"""A trained generator as the teacher of another: what it paints is what the other is to paint.

It comes as the ONNX files of a run, so that networks of other shapes, or of older versions, can teach.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kouxing import weights
from kouxing.data.references import REFERENCES
from kouxing.train.loop import Batch
from kouxing.types import Bytes
from kouxing.units import CROP_PX, HALF_PX, PATCH_PX


class Teacher:
    """The two stages of a preset in ONNX Runtime, one thread.

    Args:
        folder: run folder of ``train lips``, or any that holds the preset's ONNX files with their cards.
        preset: ``fast`` or ``fine``.

    Raises:
        WeightError: the files are missing or damaged.
    """

    def __init__(self, folder: Path, preset: str) -> None:
        name = f"lips_{preset}"
        self._encode, _ = weights.session(f"{name}_references", threads=1, folder=folder)
        self._paint, card = weights.session(f"{name}_frame", threads=1, folder=folder)
        self._features = int(card["dimensions"]["features"])
        self._partly = "left" in {value.name for value in self._paint.get_inputs()}
        self._memory = [output.name for output in self._encode.get_outputs()]

    def __call__(self, batch: Batch) -> Tensor:
        """What it paints for a batch of ``data.lips``: ``[N, 3, 128, 256]``, 0..1."""
        references, frames = _bytes(batch["references"]), _bytes(batch["frame"][:, :, :HALF_PX])
        audio, own, stances = (batch[name].cpu().numpy() for name in ("audio", "own", "stances"))
        # One of before may not know of phones.
        audio, own = audio[..., : self._features], own[..., : self._features]
        each = len(frames) // len(own)
        made = []
        for place, frame in enumerate(frames):
            clip = place // each
            if place % each == 0:
                crops = references[clip * REFERENCES : (clip + 1) * REFERENCES]
                memory = dict(zip(self._memory, self._encode.run(self._memory, {"crops": crops}), strict=True))
            rows = slice(place, place + 1)
            given = {"crop": frame[None], "audio": audio[rows], "stances": stances[rows], "own": own[clip : clip + 1]}
            made.append(self._whole({**given, **memory}))
        planes = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)
        return planes.to(batch["real"].device).float() / 255.0

    def _whole(self, given: dict[str, np.ndarray]) -> Bytes:
        """All columns ``[128, 256, 3]`` of a lower half: its two sides overlap, and meet far from both edges."""
        if not self._partly:
            return np.asarray(self._paint.run(["lower"], given)[0][0])
        left, right = (
            self._paint.run(["lower"], {**given, "left": np.array([first])})[0][0] for first in (0, CROP_PX - PATCH_PX)
        )
        return np.concatenate([left[:, :HALF_PX], right[:, HALF_PX - CROP_PX :]], 1)


def _bytes(pictures: Tensor) -> Bytes:
    """``[N, 3, H, W]`` of 0..1 as ``[N, H, W, 3] uint8``."""
    levels = (pictures * 255.0).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
