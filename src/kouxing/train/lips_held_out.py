"""Frames of held-out clips, painted as at inference and held against the real ones: how the generator is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.data.footage import Footage
from kouxing.data.lips import mask, planes, select
from kouxing.data.references import REFERENCES, choose
from kouxing.face.geometry import as_wide
from kouxing.face.landmarks import GAP_LOWER, GAP_UPPER
from kouxing.face.stance import stance
from kouxing.models.lips import LipsDimensions
from kouxing.models.shape import ShapeReader, opening
from kouxing.types import Bool, Float
from kouxing.units import HALF_PX

FRAMES = 12
"""Of a held-out clip, that are looked at."""
GIVEN = ("frame", "references", "audio", "own", "stances")
"""What of a sample the network is given, in its order."""


def some(clip: Footage) -> np.ndarray:
    """Frames of a clip to judge by."""
    return np.flatnonzero(clip.found)[:: max(1, len(clip) // FRAMES)][:FRAMES]


def held_out_sample(
    clip: Footage, predicted: Float, frames: np.ndarray, size: LipsDimensions, usable: Bool | None = None
) -> dict[str, np.ndarray]:
    """Inputs for some frames of one clip as at inference: references chosen over the whole clip.

    Args:
        clip: the footage.
        predicted: ``[T, ...]`` features that drive the mouth; of others than the generator takes, none is looked at.
        frames: which frames.
        size: of the generator.
        usable: ``[T]`` frames that may be references; all with a face by default.
    """
    usable = clip.found if usable is None else usable
    predicted = as_wide(predicted, size.features)
    middle = np.median(clip.pose[usable], 0)
    chosen = choose(clip.aperture, clip.pose, middle, usable, count=REFERENCES)
    crops = [clip.crop(int(i)) for i in frames]
    return {
        "frame": planes(np.stack([mask(crop, HALF_PX) for crop in crops])),
        "real": planes(np.stack(crops)[:, HALF_PX:]),
        "references": planes(np.stack([clip.crop(i) for i in chosen])),
        "audio": np.stack([select(predicted, int(i), size.window, size.spacing) for i in frames]),
        "own": as_wide(clip.geometry[chosen][None], size.features),
        "stances": stance(clip.anchors[[[int(i), *chosen] for i in frames]]),
    }


@torch.no_grad()
def painted(model: nn.Module, sample: dict[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    """Painted and real lower halves ``[n, 3, 128, 256]`` of a sample, where the model is."""
    device = next(model.parameters()).device
    tensors = {name: torch.from_numpy(value).to(device) for name, value in sample.items()}
    return model(*(tensors[name] for name in GIVEN))[0].float(), tensors["real"]


@torch.no_grad()
def likeness(reader: ShapeReader, made: Tensor, real: Tensor, clip: Footage, frames: np.ndarray) -> dict[str, float]:
    """How near painted mouths come to the real ones.

    Args:
        reader: reads how far the lips are open.
        made, real: ``[n, 3, 128, 256]``, 0..1, of ``frames`` of ``clip``.

    Returns:
        About the lips ``l1`` and ``sharpness`` (of the real mouth's); ``gap_error_px`` and ``gap_r`` of the opening.
    """
    lips = clip.lips[frames]
    low = np.clip(lips.min((0, 1)) - 6, 0, 2 * HALF_PX - 1).astype(int)
    high = np.clip(lips.max((0, 1)) + 6, 0, 2 * HALF_PX - 1).astype(int)
    box = (slice(None), slice(None), slice(max(0, low[1] - HALF_PX), high[1] - HALF_PX), slice(low[0], high[0]))
    energy = [float(_laplacian(x[box]).square().mean()) for x in (made, real)]
    gaps = [opening(reader(x), GAP_LOWER, GAP_UPPER).cpu().numpy() * HALF_PX for x in (made, real)]
    r = float(np.corrcoef(gaps[0], gaps[1])[0, 1]) if min(map(np.std, gaps)) > 1e-6 else float("nan")
    return {
        "l1": float((made[box] - real[box]).abs().mean()),
        "sharpness": energy[0] / max(energy[1], 1e-9),
        "gap_error_px": float(np.abs(gaps[0] - gaps[1]).mean()),
        "gap_r": r,
    }


def judged(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The clips' means of ``likeness``, and ``score``, by which the best weights are kept."""
    told = {f"val/{name}": float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
    # Mouths that obey come first, closeness second; both are about 1 when good.
    score = told["val/gap_r"] - 5 * told["val/l1"] - 0.3 * abs(np.log(max(told["val/sharpness"], 1e-3)))
    return told | {"score": float(score)}


def sheet(real: Tensor, made: Tensor) -> np.ndarray:
    """Real above made, 6 frames: ``[256, 6 * 256, 3] uint8``."""
    rows = [torch.cat(list(x[:6]), 2).permute(1, 2, 0).cpu().numpy() for x in (real, made)]
    picture = (np.concatenate(rows) * 255).clip(0, 255).astype(np.uint8)
    wide = np.zeros((picture.shape[0], 12 * HALF_PX, 3), np.uint8)
    wide[:, : picture.shape[1]] = picture
    return wide


def _laplacian(x: Tensor) -> Tensor:
    grey = x.mean(1, keepdim=True)
    kernel = grey.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).reshape(1, 1, 3, 3)
    return F.conv2d(grey, kernel)
