"""The sync discriminator -> two ONNX graphs through the weight door, checked against PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kouxing import weights
from kouxing.face.offset import Calibration
from kouxing.models.sync import Discriminator, Judges
from kouxing.train.export import _compare, _export, _round_to_half, _round_to_steps, quarter
from kouxing.units import MELS_PER_FRAME


class _Mouths(nn.Module):
    """``[1, T, 48, 64] uint8`` -> ``[1, T - 2 * mouth_reach, D]``."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pictures: Tensor) -> Tensor:
        return self.encoder(pictures.float() / 255.0)


def export_sync(
    model: Discriminator | Judges, calibration: Calibration | None, about: dict[str, Any], folder: Path | None = None
) -> float:
    """Save ``sync_mouth`` and ``sync_speech``; returns the largest difference to PyTorch.

    Raises:
        WeightError: ONNX and PyTorch differ by more than ``TOLERANCE``; nothing is saved.
    """
    model = model.cpu().eval()
    _round_to_half(model)
    _round_to_steps(model)
    size = model.dimensions
    mouth, speech = _Mouths(model.mouth), model.speech

    def pictures(frames: int) -> Tensor:
        return torch.randint(0, 256, (1, frames, size.height, size.width), dtype=torch.uint8)

    def mel(frames: int) -> Tensor:
        return torch.randn(1, frames * MELS_PER_FRAME, size.bands)

    few = 2 * max(size.mouth_reach, size.speech_reach) + 5
    axes = {"vectors": {1: "rows"}}
    seen_axes, heard_axes = {"pictures": {1: "frames"}, **axes}, {"mel": {1: "mels"}, **axes}
    graphs = {
        "sync_mouth": quarter(_export(mouth, (pictures(few),), ["pictures"], ["vectors"], dynamic_axes=seen_axes)),
        "sync_speech": quarter(_export(speech, (mel(few),), ["mel"], ["vectors"], dynamic_axes=heard_axes)),
    }
    longer, sound = pictures(40), mel(40)
    with torch.no_grad():
        seen, heard = mouth(longer).numpy(), speech(sound).numpy()
    worst = max(
        _compare(graphs["sync_mouth"], {"pictures": longer.numpy()}, [seen], "sync_mouth"),
        _compare(graphs["sync_speech"], {"mel": sound.numpy()}, [heard], "sync_speech"),
    )
    told = size.as_dict() | ({} if calibration is None else {"calibration": calibration.as_dict()})
    for name, graph in graphs.items():
        weights.save(name, graph, {**about, "dimensions": told}, folder)
    return worst
