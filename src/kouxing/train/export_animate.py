"""``mouth`` and ``expression`` -> ONNX step graphs through the weight door, checked against PyTorch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from kouxing import weights
from kouxing.audio.features import SILENT_MEL
from kouxing.errors import WeightError
from kouxing.models.expression import MOUTH_SHARE, STATISTICS, Expression, ExpressionStep, StyleReader
from kouxing.models.mouth import STATE, Mouth, MouthStep, shut_lips, to_coefficients
from kouxing.models.speech import Ears, SpeechEncoder
from kouxing.train.export import TOLERANCE, _compare, _export, _round_to_half, _round_to_steps, halve, quarter
from kouxing.units import FRAME_HZ, MELS_PER_FRAME


def export_mouth(model: Mouth, gate: tuple[float, float], about: dict[str, Any], folder: Path | None = None) -> float:
    """Save ``mouth`` as a step graph; returns the largest difference of a streamed run to PyTorch's whole one.

    Raises:
        WeightError: they differ by more than ``TOLERANCE``; nothing is saved.
    """
    model = model.cpu().eval()
    _round_to_half(model)
    step, size = MouthStep(model, gate), model.dimensions
    state = step.initial_state()
    mel = torch.randn(1, size.window_mels, size.bands)
    names = ["mel", *STATE]
    outputs = ["coefficients", "attention", *(f"next_{name}" for name in STATE)]
    graph = halve(_export(step, (mel, *state), names, outputs))
    worst = _streamed_difference(graph, model, gate, state)
    if not worst <= TOLERANCE:
        raise WeightError(f"mouth: ONNX differs from PyTorch by {worst:.2e}, more than {TOLERANCE:.0e}; not saved")
    told = {**size.as_dict(), "gate": list(gate), "rate_hz": FRAME_HZ}
    weights.save("mouth", graph, {**about, "dimensions": told}, folder)
    return worst


@torch.no_grad()
def _streamed_difference(
    graph: bytes, model: Mouth, gate: tuple[float, float], state: tuple[torch.Tensor, ...], steps: int = 60
) -> float:
    size = model.dimensions
    mel = torch.randn(1, size.before_mels + steps * MELS_PER_FRAME + size.after_mels, size.bands)
    mel[:, : size.before_mels] = SILENT_MEL
    parameters = model(mel)
    wanted = shut_lips(to_coefficients(parameters, model.columns), parameters[..., -1], *gate)[0].numpy()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    beginning = {name: value.numpy() for name, value in zip(STATE, state, strict=True)}
    held, made = beginning, []
    for number in range(-size.ahead, steps):
        first = (number + size.ahead) * MELS_PER_FRAME
        window = mel[:, first : first + size.window_mels].numpy()
        values, _, *following = session.run(None, {"mel": window, **held})
        held = dict(zip(STATE, following, strict=True))
        if number < 0:
            # Before row 0 only the features that it looks ahead to are gathered.
            held = {**beginning, "features": held["features"], "known": held["known"]}
        else:
            made.append(values[0])
    return float(np.abs(np.stack(made) - wanted).max())


def export_expression(
    model: Expression, encoder: SpeechEncoder | Ears, about: dict[str, Any], folder: Path | None = None
) -> float:  # fmt: skip
    """Save ``expression`` (with its encoder's trunk inside) and ``expression_style``; returns the largest difference.

    With an encoder for streams, ``expression_live`` and ``expression_live_style``.

    Raises:
        WeightError: ONNX and PyTorch differ by more than ``TOLERANCE``; nothing is saved.
    """
    model, encoder = model.cpu().eval(), encoder.cpu().eval()
    _round_to_steps(model)
    _round_to_steps(encoder)
    step, size, ear = ExpressionStep(encoder, model), model.dimensions, encoder.dimensions

    def inputs(steps: int) -> tuple[torch.Tensor, ...]:
        mel = torch.randn(1, ear.context_rows + steps * ear.steps, ear.bands)
        emotion = torch.rand(1, steps, size.emotions).softmax(-1)
        return (
            mel, emotion, torch.randn(1, steps, size.style).tanh(), encoder.initial_state(1), model.initial_state(1)
        )  # fmt: skip

    heard = ear.sound
    names = [heard, "emotion", "style", "ear", "state"]
    axes = {heard: {1: "rows"}, "emotion": {1: "steps"}, "style": {1: "steps"}, "coefficients": {1: "steps"}}
    outputs = ["coefficients", "next_ear", "next_state"]
    graph = quarter(_export(step, inputs(3), names, outputs, dynamic_axes=axes))
    given = inputs(40)
    with torch.no_grad():
        wanted = [value.numpy() for value in step(*given)]
    worst = _compare(graph, {n: v.numpy() for n, v in zip(names, given, strict=True)}, wanted, "expression")
    reader = halve(_export(StyleReader(model), (torch.rand(1, STATISTICS),), ["statistics"], ["style"]))
    told = {
        **size.as_dict(),
        "ear": ear.as_dict(),
        "closing": asdict(step.closing),
        "ear_share": step.share,
        "mouth_share": MOUTH_SHARE if size.shuts and (ear.live or not ear.behind_front) else 0,
        "rate_hz": FRAME_HZ,
    }
    name = "expression_live" if ear.live else "expression"
    weights.save(name, graph, {**about, "dimensions": told}, folder)
    weights.save(f"{name}_style", reader, {**about, "dimensions": told}, folder)
    return worst
