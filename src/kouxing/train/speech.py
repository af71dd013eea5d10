"""Train the speech encoder: log-mel -> mouth geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from kouxing.audio.features import SILENT_MEL
from kouxing.data.footage import Footage, load_footage
from kouxing.data.speech import SpeechWindows
from kouxing.eval.metrics import correlation
from kouxing.face import geometry
from kouxing.face.landmarks import GAP_LOWER, GAP_UPPER
from kouxing.losses.motion import closure_loss, correlation_loss, geometry_error, velocity_error
from kouxing.models.speech import SpeechDimensions, SpeechEncoder
from kouxing.train.card import about
from kouxing.train.export import export_speech
from kouxing.train.loop import Batch, Figures, Schedule, best_figures, train
from kouxing.units import MEL_BANDS

WEIGHTS = {"geometry": 1.0, "velocity": 1.0, "correlation": 0.5, "closure": 0.1, "silence": 0.3}
"""The loss table."""
CLOSED_GAP, OPEN_GAP = 0.006, 0.016
"""Inner-lip gap over face width: fully closed under the first, open over the second (kappa between)."""

PRESETS = {"speech": Schedule(steps=3000, batch=48, rate=1e-3, warmup=150, validate_every=250, decay=0.05, ema=0.995)}


@dataclass
class SpeechTask:
    """Model, data and losses of the speech encoder."""

    model: SpeechEncoder
    windows: SpeechWindows
    held_out: list[Footage]

    def __post_init__(self) -> None:
        components, scale = geometry.basis()
        self._scale = torch.from_numpy(scale / scale[0])
        lower, upper = 2 * GAP_LOWER + 1, 2 * GAP_UPPER + 1
        self._opening = torch.from_numpy((components[lower] - components[upper]) * scale / scale[0])

    def batch(self, number: int) -> Batch:
        return self.windows(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        mask, real = batch["mask"], batch["geometry"]
        predicted, _ = model(batch["mel"], self.model.initial_state(len(mask)))
        scale, way = self._scale.to(mask.device), self._opening.to(mask.device)
        opening = predicted @ way
        closed = ((OPEN_GAP - batch["aperture"]) / (OPEN_GAP - CLOSED_GAP)).clamp(0, 1)
        terms = {
            "geometry": geometry_error(predicted, real, mask, scale),
            "velocity": velocity_error(predicted, real, mask, scale),
            "correlation": correlation_loss(opening, real @ way, mask),
            "closure": closure_loss(opening, closed, mask),
            # Silence rests the mouth, whatever the tracked person did there.
            "silence": geometry_error(predicted, torch.zeros_like(real), batch["silent"] * mask, scale),
        }
        loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
        return loss, {f"speech/{name}": value.detach() for name, value in terms.items()} | {
            "speech/loss": loss.detach()
        }

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        groups: dict[str, list[float]] = {"grid": [], "words": [], "wild": []}
        for clip in self.held_out:
            predicted = predict(model, clip)
            r = correlation(geometry.opening(predicted)[clip.found], clip.aperture[clip.found])
            groups["words" if clip.clip.seconds < 2 else clip.clip.part].append(r)
        medians = {f"val/{name}_r": float(np.nanmedian(values)) for name, values in groups.items() if values}
        wild = [medians[name] for name in ("val/words_r", "val/wild_r") if name in medians]
        # Speakers never seen count; s1's held-out sentences only break ties.
        score = float(np.mean(wild)) + 0.2 * medians.get("val/grid_r", 0.0) if wild else medians["val/grid_r"]
        return medians | {"score": score}


@torch.no_grad()
def predict(model: nn.Module, clip: Footage) -> np.ndarray:
    """Geometry ``[T, 16]`` that the encoder hears in a clip."""
    dimensions: SpeechDimensions = model.dimensions  # type: ignore[assignment]
    model.eval()
    device = next(model.parameters()).device
    quiet = np.full((dimensions.context_mels, MEL_BANDS), SILENT_MEL, np.float32)
    mel = torch.from_numpy(np.concatenate([quiet, clip.mel, quiet]))[None].to(device)
    features, _ = model(mel, model.initial_state(1))  # type: ignore[operator]
    return np.asarray(features[0].float().cpu().numpy(), np.float32)


def main(
    data: Path,
    out: Path,
    *,
    device: str = "cpu",
    schedule: Schedule = PRESETS["speech"],
    report: Callable[[str], None] = print,
) -> SpeechEncoder:
    """Train on ``data``'s train split; the same command resumes.

    Args:
        data: data folder.
        out: run folder; at the end it also holds the weights as ONNX with their card
            (``KOUXING_WEIGHTS=out`` uses them).
        device: see ``train.loop.train``.
        schedule: instead of the preset's.
        report: where progress lines go.

    Returns:
        The best averaged model.
    """
    dimensions = SpeechDimensions()
    windows = SpeechWindows(load_footage(data, "train"), 75, schedule.batch, dimensions.context_mels, schedule.seed)
    task = SpeechTask(SpeechEncoder(dimensions), windows, load_footage(data, "val"))
    config = {"model": "speech", "dimensions": dimensions.as_dict(), "weights": WEIGHTS, "data": str(data)}
    model = cast(SpeechEncoder, train(task, schedule, out, device, config, report))
    save(model, data, out)
    return model


def save(model: SpeechEncoder, data: Path, out: Path) -> None:
    """Export the model of run folder ``out`` into it, with its card."""
    units = {
        "mel": "[1, 4T + 2 * 4 * reach, 80] log power, 100 Hz",
        "features": "[1, T, 16] mouth geometry (face.geometry), 25 Hz, 0 = lips closed and relaxed",
    }
    figures = {name.removeprefix("val/"): value for name, value in best_figures(out).items()}
    export_speech(model, about(data, "kouxing train speech --data DATA --out runs/speech", units, figures), out)
