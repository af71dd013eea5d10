"""Train the coefficient reader: mesh points -> what MediaPipe's face_landmarker.task says of the same picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from kouxing.arkit import MEDIAPIPE, MOUTH
from kouxing.data.coefficients import Pairs, PointBatches, average_face, load_meshes, pairs
from kouxing.data.speech import shares
from kouxing.data.tracks import read_by_us
from kouxing.errors import DataError
from kouxing.face.coefficients import POINTS
from kouxing.models.coefficients import CoefficientDimensions, CoefficientReader
from kouxing.train.card import about
from kouxing.train.export import export_coefficients
from kouxing.train.loop import Batch, Figures, Schedule, best_figures, counting, train
from kouxing.train.origin import origin
from kouxing.types import Float

GRID_SHARE, WORD_SHARE = 0.2, 0.45
"""How often one studio speaker, and single words of many speakers, are drawn."""
LEAST_SPREAD = 0.02
"""Coefficients that hardly move are not weighed as if each of their digits mattered."""
STILL = 0.01
"""No correlation is told of coefficients whose standard deviation is less."""

ENTROPY = 0.3
"""Weight of the cross entropy beside the distance."""

SCHEDULE = Schedule(steps=5000, batch=256, rate=2e-3, warmup=200, validate_every=500, decay=0.05, ema=0.998)


@dataclass
class CoefficientTask:
    """Model, data and loss."""

    model: CoefficientReader
    clips: list[Pairs]
    held_out: list[Pairs]
    schedule: Schedule

    def __post_init__(self) -> None:
        drawn = shares(self.clips, GRID_SHARE, WORD_SHARE)
        self._batches = PointBatches(self.clips, drawn, self.schedule.batch, self.schedule.seed)
        sample = [self._batches(number) for number in range(16)]
        points = torch.cat([one["points"] for one in sample]).flatten(1)
        self.model.average.copy_(points.mean(0))
        self.model.spread.copy_(points.std(0) + 1e-3)
        self._spread = torch.cat([one["target"] for one in sample]).std(0) + LEAST_SPREAD

    def batch(self, number: int) -> Batch:
        return self._batches(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        made, real = model(batch["points"]), batch["target"]
        error = (made - real) / self._spread.to(real.device)
        distance = nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.5)
        # Its slope does not vanish with the sigmoid's: an output that fell to 0 too early comes back.
        entropy = nn.functional.binary_cross_entropy(made, real.clamp(0, 1))
        loss = distance + ENTROPY * entropy
        figures = {"loss": loss, "error": error.abs().mean(), "entropy": entropy}
        return loss, {f"coefficients/{name}": value.detach() for name, value in figures.items()}

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        told = judge(model, self.held_out)
        figures = {f"val/{name}": told[name] for name in ("mae", "mouth_mae", "r", "mouth_r")}
        # Where nothing moves there is no correlation to choose by.
        return figures | {"score": float(np.nan_to_num(told["r"])) - told["mae"]}


@torch.no_grad()
def predict(model: nn.Module, shape: Float) -> Float:
    """Coefficients ``[T, 51]`` of points ``[T, 146, 3]``."""
    model.eval()
    device = next(model.parameters()).device
    return np.asarray(model(torch.from_numpy(shape).to(device)).float().cpu().numpy(), np.float32)


def judge(model: nn.Module, clips: list[Pairs]) -> dict[str, Any]:
    """How near the reader comes to MediaPipe, speakers never seen.

    Returns:
        ``mae`` and ``r`` (mean over coefficients; of those that move), the same of the mouth's (``mouth_…``), and by
        name under ``each``: ``{"mae", "r"}``, ``r`` None where the coefficient stands still. All frames of all clips
        together, so that a wrong level counts as much as a wrong movement; ``within_r`` is the mean of the mouth's
        correlations within clips.
    """
    made = [predict(model, clip.shape) for clip in clips]
    whole, real = np.concatenate(made), np.concatenate([clip.target for clip in clips])
    each: dict[str, dict[str, float | None]] = {}
    for place, name in enumerate(MEDIAPIPE):
        a, b = whole[:, place], real[:, place]
        moves = b.std() > STILL and a.std() > 0
        r = float(np.corrcoef(a, b)[0, 1]) if moves else None
        each[name] = {"mae": float(np.abs(a - b).mean()), "r": r}
    each_clip = [_mouth_correlation(one, clip.target) for one, clip in zip(made, clips, strict=True)]
    within = [r for r in each_clip if r is not None]
    return {
        "mae": _mean(each, "mae", MEDIAPIPE),
        "r": _mean(each, "r", MEDIAPIPE),
        "mouth_mae": _mean(each, "mae", MOUTH),
        "mouth_r": _mean(each, "r", MOUTH),
        "within_r": float(np.mean(within)) if within else float("nan"),
        "each": each,
    }


def _mean(each: dict[str, dict[str, float | None]], key: str, names: tuple[str, ...]) -> float:
    known = [value for name in names if (value := each[name][key]) is not None]
    return float(np.mean(known)) if known else float("nan")


def _mouth_correlation(made: Float, real: Float) -> float | None:
    places = [MEDIAPIPE.index(name) for name in MOUTH]
    moving = [p for p in places if real[:, p].std() > 2 * STILL and made[:, p].std() > 0]
    return float(np.mean([np.corrcoef(made[:, p], real[:, p])[0, 1] for p in moving])) if moving else None


def main(
    data: Path,
    out: Path,
    *,
    meshes: Path | None = None,
    device: str = "cpu",
    schedule: Schedule = SCHEDULE,
    report: Callable[[str], None] = print,
) -> CoefficientReader:
    """Train on ``data``'s train split; the same command resumes.

    Args:
        data: data folder whose tracks hold ``blendshapes``.
        out: run folder; at the end it also holds the weights as ONNX with their card.
        meshes: see ``data.coefficients.load_meshes``.
        device: see ``train.loop.train``.
        schedule: instead of the preset's.
        report: where progress lines go.

    Returns:
        The best averaged model.

    Raises:
        DataError: no coefficients, or our own network's.
    """
    if read_by_us(data):
        raise DataError(
            f"{data}: its coefficients were read by the network that this trains; prepare the footage into another "
            "folder, with --landmarker face_landmarker.task"
        )
    seen = load_meshes(data, "train", meshes, counting(report, "clips tracked"))
    reference = average_face(seen)
    rounded = tuple(tuple(round(float(x), 5) for x in point) for point in reference)
    dimensions = CoefficientDimensions(POINTS, rounded, MEDIAPIPE)
    reference = np.array(rounded, np.float32)
    held_out = pairs(load_meshes(data, "val", meshes), reference)
    clips = pairs(seen, reference)
    report(f"{len(clips)} clips, {sum(map(len, clips))} frames; held out {len(held_out)}, {sum(map(len, held_out))}")
    torch.manual_seed(schedule.seed)
    task = CoefficientTask(CoefficientReader(dimensions), clips, held_out, schedule)
    sizes = {"widths": dimensions.widths, "dropout": dimensions.dropout}
    config = {"model": "coefficients", "dimensions": sizes, "origin": origin(data)}
    model = cast(CoefficientReader, train(task, schedule, out, device, config, report))
    save(model, data, out, meshes)
    return model


def save(model: CoefficientReader, data: Path, out: Path, meshes: Path | None = None) -> None:
    """Export the model of run folder ``out`` into it, with its card; val chose it, test is only told."""
    reference = np.array(model.dimensions.reference, np.float32)
    figures: dict[str, float] = {
        name.removeprefix("val/"): value for name, value in best_figures(out).items() if name in ("score", "step")
    }
    each: dict[str, Any] = {}
    for split in ("val", "test"):
        try:
            told = judge(model, pairs(load_meshes(data, split, meshes), reference))
        except DataError:
            # A data set of one's own may have no test speakers.
            continue
        figures |= {f"{split}/{name}": value for name, value in told.items() if name != "each"}
        each[split] = {
            name: {key: None if value is None else round(value, 4) for key, value in row.items()}
            for name, row in told["each"].items()
        }
    units = {
        "points": f"[N, {len(POINTS)}, 3] float32, mesh points without head pose (face.frontal), eye distances",
        "coefficients": f"[N, {len(MEDIAPIPE)}] float32, 0..1, MediaPipe's order (arkit.MEDIAPIPE)",
    }
    told = about(data, "kouxing train coefficients --data DATA --out runs/coefficients", units, figures)
    export_coefficients(model, {**told, "teacher": "MediaPipe face_landmarker.task (Apache-2.0)", "each": each}, out)
