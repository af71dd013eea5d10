"""Train ``multimodal``'s face generator, either variant, and compare it with ``lips`` (methods.md section 5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from kouxing.data.footage import Footage
from kouxing.data.multimodal import Clip, text_of
from kouxing.data.multimodal_face import FaceSamples, face_sample
from kouxing.data.multimodal_heard import Version
from kouxing.face.mouth_light import even_light
from kouxing.models.lips import Lips
from kouxing.models.multimodal import MODALITIES, Chain, Multimodal
from kouxing.models.multimodal_face import FaceMaker, packed
from kouxing.models.shape import ShapeReader
from kouxing.train.lips_held_out import held_out_sample, likeness, painted, some
from kouxing.train.lips_task import WEIGHTS, LipsTask
from kouxing.train.loop import Batch, Figures, Schedule, train
from kouxing.types import Float
from kouxing.units import HALF_PX

LOSSES = {**WEIGHTS, "warp": 0.0, "indecision": 0.0, "sync": 0.0, "lipread": 0.0, "lipread_features": 0.0}
"""There is no mouth to warp, and one reference to trust."""
RUN = 2
SCHEDULE = Schedule(
    steps=300, batch=8, rate=1e-3, warmup=10, validate_every=100, precision="bf16-mixed", ema=0.95, save_every_s=120.0
)
SUBSETS = ((1, 1, 1), (1, 1, 0), (0, 1, 0), (0, 1, 1), (1, 0, 0), (0, 0, 1))
"""Modality dropout: each clip is told in all of these, as far as it has them."""


@torch.no_grad()
def mouth_features(model: Multimodal, clip: Clip, version: Version, there: Sequence[int]) -> Float:
    """Mouth features of a clip after each modality, ``[T, 3 * (D + 1)]`` (``models.multimodal_face.packed``).

    Args:
        model: trained, joined by modulation.
        clip, version: what is said, seen and heard.
        there: which of ``MODALITIES`` are given; what the clip has not is not there.
    """
    model.eval()
    assert isinstance(model.join, Chain)
    size, frames = model.dimensions, len(clip.take)
    said = text_of(clip, version, there)
    given = [said is not None, there[1], there[2] and clip.pictures is not None]
    text = np.zeros((frames, size.text), np.float32) if said is None else said
    seen = torch.zeros(1, frames, size.seen)
    if given[2] and clip.pictures is not None:
        seen = model.looker(torch.from_numpy(even_light(clip.pictures, clip.take.found)))[None]
    rows = (version.heard, version.trunk, version.mel, version.clear)
    speech = torch.cat([torch.from_numpy(one.astype(np.float32))[None] for one in rows], -1)
    present = torch.tensor(given, dtype=torch.float32).expand(1, frames, -1)
    features = model.features(torch.from_numpy(text)[None], speech, seen)
    each = model.join.each(features, present, range(len(MODALITIES)))
    mouths = torch.stack([each[place] for place in range(len(MODALITIES))], 2)
    return np.asarray(packed(mouths * present[..., None], present)[0].numpy(), np.float32)


@dataclass
class FaceTask(LipsTask):
    """As ``LipsTask``; ``held_out`` holds mouth features."""

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        loss, told = super().step(model, batch, progress)
        # There is no choice between references.
        return loss, {name: value for name, value in told.items() if name != "lips/indecision"}

    def sample(self, clip: Footage, heard: Float, frames: np.ndarray) -> dict[str, np.ndarray]:
        return face_sample(clip, heard, frames)


def learn(
    variant: str, lips: Lips | None, footage: list[Footage], mouths: dict[str, list[Float]],
    held_out: list[tuple[Footage, Float]], reader: ShapeReader, out: Path, schedule: Schedule = SCHEDULE,
    report: Callable[[str], None] = print,
) -> FaceMaker:  # fmt: skip
    """Train one variant.

    Args:
        variant: one of ``multimodal_face.VARIANTS``.
        lips: a trained ``lips`` ``fast`` to start from.
        footage, mouths: clips, and several versions of each one's mouth features by clip id.
        held_out: clips to choose by, with their mouth features.
        reader: the frozen shape reader.
        out: run folder.
        schedule, report: see ``train.loop.train``.
    """
    torch.manual_seed(schedule.seed)
    model = FaceMaker(variant, mouths[footage[0].clip.id][0].shape[1] // len(MODALITIES) - 1)
    if lips is not None:
        report(f"{model.take_over(lips)} tensors taken over")
    samples = FaceSamples(footage, mouths, clips=max(1, schedule.batch // RUN), run=RUN, seed=schedule.seed)
    task = FaceTask(model, samples, reader, held_out, weights=LOSSES)
    config = {"model": "multimodal_face", "variant": variant, "dimensions": model.dimensions.as_dict()}
    return cast(FaceMaker, train(task, schedule, out, "cpu", config, report))


@torch.no_grad()
def compared(
    models: dict[str, nn.Module], inputs: dict[str, list[tuple[Footage, Float]]], reader: ShapeReader
) -> dict[str, dict[str, float]]:
    """Held-out figures of several painters over the same frames: closeness, sharpness, lips, and what a frame costs.

    Args:
        models: name -> ``Lips`` or ``FaceMaker``.
        inputs: name -> clips with the features that drive it.
        reader: the shape reader.

    Returns:
        Name -> ``l1``, ``psnr_db``, ``sharpness`` (of the real mouth's), ``lmd`` (in halves of the crop), ``gap_r``,
        ``ms`` a frame on this machine's one thread.
    """
    told: dict[str, dict[str, float]] = {}
    for name, model in models.items():
        model.eval()
        rows: list[dict[str, float]] = []
        for clip, features in inputs[name]:
            frames = some(clip)
            own = isinstance(model, FaceMaker)
            size = cast(Lips, model).dimensions
            sample = face_sample(clip, features, frames) if own else held_out_sample(clip, features, frames, size)
            began = time.thread_time()
            made, real = painted(model, sample)
            spent = (time.thread_time() - began) / len(frames)
            row = likeness(reader, made, real, clip, frames)
            row["lmd"] = float((reader(made) - torch.from_numpy(clip.lips[frames]) / HALF_PX).norm(dim=-1).mean())
            row["psnr_db"] = float(-10 * torch.log10((made - real).square().mean().clamp(min=1e-9)))
            rows.append(row | {"ms": 1000 * spent})
        told[name] = {key: round(float(np.nanmedian([row[key] for row in rows])), 4) for key in rows[0]}
    return told
