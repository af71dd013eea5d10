"""``multimodal`` -> three ONNX graphs through the weight door, checked against PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kouxing import weights
from kouxing.face.mouth_picture import HEIGHT_PX, WIDTH_PX
from kouxing.models.multimodal import LookerStep, Multimodal, MultimodalStep
from kouxing.models.speech import Listener
from kouxing.train.export import _compare, _export, _round_to_half, _round_to_steps, halve, quarter
from kouxing.units import FRAME_HZ, MEL_HZ, MELS_PER_FRAME

EAR, JOINED, MOUTH = "multimodal_ear", "multimodal", "multimodal_mouth"


class _Ear(nn.Module):
    """Phone network, streaming: log probabilities of each mel frame, and what its trunk heard of each video frame."""

    def __init__(self, model: Listener) -> None:
        super().__init__()
        self.model = model

    def forward(self, heard: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        trunk, state = self.model.encoder.trunk(heard, state)
        logits = self.model.classes(trunk)
        batch, frames, _ = trunk.shape
        return logits.reshape(batch, frames * MELS_PER_FRAME, -1).log_softmax(-1), trunk, state


def export_multimodal(model: Multimodal, ear: Listener, about: dict[str, Any], folder: Path | None = None) -> float:
    """Save ``multimodal``, ``multimodal_mouth`` and ``multimodal_ear``; returns the largest difference to PyTorch.

    Raises:
        WeightError: they differ too much; what differs is not saved.
    """
    model, ear = model.cpu().eval(), ear.cpu().eval()
    _round_to_half(model)
    _round_to_steps(ear)
    size, heard = model.dimensions, ear.encoder.dimensions

    def rows(steps: int) -> tuple[Tensor, ...]:
        widths = (size.text, size.heard, size.trunk, size.bands, size.clear, size.seen)
        return (*(torch.randn(1, steps, width) for width in widths), (torch.rand(1, steps, 3) > 0.3).float())

    def sounds(steps: int) -> tuple[Tensor, ...]:
        return torch.randn(1, heard.context_rows + steps, heard.bands), ear.encoder.initial_state(1)

    def pictures(steps: int) -> tuple[Tensor, ...]:
        return (torch.randn(steps, HEIGHT_PX, WIDTH_PX),)

    joined = ["text", "heard", "trunk", "mel", "clear", "seen", "present"]
    graphs = {
        JOINED: (MultimodalStep(model), rows, joined, ["coefficients", "geometry", "joint"], dict.fromkeys(joined, 1)),
        MOUTH: (LookerStep(model), pictures, ["pictures"], ["seen"], {"pictures": 0}),
        EAR: (_Ear(ear), sounds, ["heard", "state"], ["log_probs", "trunk", "next_state"], {"heard": 1}),
    }
    told = {**size.as_dict(), "ear": heard.as_dict(), "rate_hz": FRAME_HZ, "phone_rate_hz": MEL_HZ}
    worst = 0.0
    for name, (network, inputs, names, outputs, axes) in graphs.items():
        dynamic = {one: {axis: "steps"} for one, axis in axes.items()}
        dynamic |= {one: {1: "steps_out"} for one in outputs if one != "next_state"}
        stored = quarter if name == EAR else halve
        graph = stored(_export(network, inputs(30), names, outputs, dynamic_axes=dynamic))
        given = inputs(47)
        with torch.no_grad():
            made = network(*given)
        wanted = [one.numpy() for one in (made if isinstance(made, tuple) else (made,))]
        worst = max(worst, _compare(graph, {n: v.numpy() for n, v in zip(names, given, strict=True)}, wanted, name))
        weights.save(name, graph, {**about, "dimensions": told}, folder)
    return worst
