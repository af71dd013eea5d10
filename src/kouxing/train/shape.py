"""Train the shape reader: lower half of a crop -> lip landmarks; ``lips`` learns against it, it is not shipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from kouxing.data import augment
from kouxing.data.footage import Footage
from kouxing.data.lips import planes
from kouxing.data.speech import shares
from kouxing.face.crop import apply
from kouxing.face.landmarks import GAP_LOWER, GAP_UPPER
from kouxing.models.shape import ShapeReader, opening
from kouxing.train.loop import Batch, Figures, Schedule, train
from kouxing.units import HALF_PX

SCHEDULE = Schedule(steps=1200, batch=32, rate=7e-4, warmup=100, validate_every=400, ema=0.99)


@dataclass
class ShapeTask:
    """Model, data and loss of the shape reader."""

    model: ShapeReader
    footage: list[Footage]
    held_out: list[Footage]
    schedule: Schedule

    def __post_init__(self) -> None:
        self._shares = shares(self.footage)
        average = np.mean([clip.lips[clip.found].mean(0) for clip in self.footage], 0) / HALF_PX
        self.model.average.copy_(torch.from_numpy(average))

    def batch(self, number: int) -> Batch:
        rng = np.random.default_rng([self.schedule.seed, number])
        picked = rng.choice(len(self.footage), self.schedule.batch, p=self._shares)
        images, points = [], []
        for clip in (self.footage[int(i)] for i in picked):
            frame = int(rng.choice(np.flatnonzero(clip.found)))
            turn = augment.small_affine(rng)
            image = augment.light([clip.crop(frame)], rng)[0]
            moved = augment.moved(image, turn)
            if rng.random() < 0.3:
                moved = np.asarray(cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.5, 3.0)), np.uint8)
            images.append(moved[HALF_PX:])
            points.append(apply(turn, clip.lips[frame]))
        return {
            "image": torch.from_numpy(planes(np.stack(images))),
            "lips": torch.from_numpy(np.stack(points)) / HALF_PX,
        }

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        found = model(batch["image"]).float()
        error = (found - batch["lips"]).abs().mean()
        gaps = [opening(points, GAP_LOWER, GAP_UPPER) for points in (found, batch["lips"])]
        gap = (gaps[0] - gaps[1]).abs().mean()
        return error + 0.5 * gap, {"shape/error_px": error.detach() * HALF_PX, "shape/gap_px": gap.detach() * HALF_PX}

    @torch.no_grad()
    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        device = next(model.parameters()).device
        errors, gaps = [], []
        for clip in self.held_out:
            frames = np.flatnonzero(clip.found)[::8]
            images = torch.from_numpy(planes(np.stack([clip.crop(int(i))[HALF_PX:] for i in frames]))).to(device)
            found = model(images).float().cpu() * HALF_PX
            real = torch.from_numpy(clip.lips[frames])
            errors.append(float((found - real).abs().mean()))
            gaps.append(
                float((opening(found, GAP_LOWER, GAP_UPPER) - opening(real, GAP_LOWER, GAP_UPPER)).abs().mean())
            )
        return {
            "val/error_px": float(np.mean(errors)),
            "val/gap_px": float(np.mean(gaps)),
            "score": -float(np.mean(errors)),
        }


def main(
    footage: list[Footage],
    held_out: list[Footage],
    out: Path,
    *,
    of: Mapping[str, str] | None = None,
    device: str = "cpu",
    schedule: Schedule | None = None,
    report: Callable[[str], None] = print,
) -> ShapeReader:
    """Train (or resume, or load when done) in run folder ``out``; returns the averaged model.

    ``schedule`` is ``SCHEDULE`` unless another is given. A reader of other data (``of``: ``train.origin.origin``) is
    refused.
    """
    schedule = schedule or SCHEDULE
    task = ShapeTask(ShapeReader(), footage, held_out, schedule)
    return cast(ShapeReader, train(task, schedule, out, device, {"model": "shape", "origin": of}, report))
