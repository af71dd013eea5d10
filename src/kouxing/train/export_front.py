"""The front for streams -> ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from kouxing import weights
from kouxing.audio.front import FIELD, STEP
from kouxing.audio.live_front import NAME
from kouxing.models.live_front import LiveFront
from kouxing.train.export import _compare, _export, _round_to_steps, quarter


def export_front(model: LiveFront, about: dict[str, Any], folder: Path | None = None) -> float:
    """Save ``front_live``, its matrices in 8 bits; returns the largest difference to PyTorch.

    Raises:
        WeightError: ONNX and PyTorch differ by more than ``TOLERANCE``; nothing is saved.
    """
    model = model.cpu().eval()
    _round_to_steps(model)

    def inputs(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        state = model.initial_state(1)
        return 0.1 * torch.randn(1, (frames - 1) * STEP + FIELD), 0.1 * torch.randn_like(state)

    names, outputs = ["samples", "state"], ["heard", "next_state"]
    axes = {"samples": {1: "samples"}, "heard": {1: "frames"}}
    graph = quarter(_export(model, inputs(3), names, outputs, dynamic_axes=axes))
    given = inputs(40)
    with torch.no_grad():
        wanted = [value.numpy() for value in model(*given)]
    worst = _compare(graph, {n: v.numpy() for n, v in zip(names, given, strict=True)}, wanted, NAME)
    dimensions = {**model.dimensions.as_dict(), "step": STEP, "field": FIELD}
    weights.save(NAME, graph, {**about, "dimensions": dimensions}, folder)
    return worst
