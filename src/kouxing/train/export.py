"""Trained models -> ONNX through the weight door, checked against PyTorch."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing import weights
from kouxing.audio.encoder import FILE_NAME, LIVE_NAME, NAME
from kouxing.errors import WeightError
from kouxing.models.coefficients import CoefficientReader
from kouxing.models.lips import Lips, neighbours
from kouxing.models.speech import Ears, SpeechDimensions, SpeechEncoder
from kouxing.units import CROP_PX, HALF_PX, PLACED_PX

TOLERANCE = 1e-3
OPSET = 20
SMALLEST = 1024
"""Tensors with fewer numbers stay float32: they cost nothing and are often biases or norms."""


class _References(nn.Module):
    """``crops [R, 256, 256, 3] uint8`` -> pictures and memory, as the frame stage takes them."""

    def __init__(self, model: Lips) -> None:
        super().__init__()
        self.model = model

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        pictures = crops.permute(0, 3, 1, 2)
        return (neighbours(pictures), *self.model.encode(pictures.float() / 255.0))


class _Frame(nn.Module):
    """Upper half of a crop, memory and audio -> the painted part of the lower one ``[1, 128, PATCH_PX, 3] uint8``."""

    def __init__(self, model: Lips, exact: bool = False) -> None:
        super().__init__()
        self.model, self.exact = model, exact

    def forward(
        self, crop: Tensor, audio: Tensor, pictures: Tensor, quarter: Tensor, eighth: Tensor, sixteenth: Tensor,
        last: Tensor, own: Tensor, stances: Tensor, left: Tensor,
    ) -> Tensor:  # fmt: skip
        upper = crop.permute(0, 3, 1, 2).float() / 255.0
        frame = torch.cat([upper, torch.zeros_like(upper)], 2)
        memory = (quarter, eighth, sixteenth, last)
        lower = self.model.paint(frame, pictures, memory, audio, own, stances, left).permute(0, 2, 3, 1)
        return lower if self.exact else (lower * 255.0).round().to(torch.uint8)


MEMORY = ("pictures", "quarter", "eighth", "sixteenth", "last")


def _export(model: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str], **more: Any) -> bytes:
    told = {"input_names": names, "output_names": outputs, "opset_version": OPSET, "dynamo": False, **more}
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        # What the exporter warns of is not the user's to mend; `_compare` tells whether the file is right.
        with catch_warnings():
            simplefilter("ignore")
            torch.onnx.export(model.eval(), inputs, path, **told)
        return path.read_bytes()


def halve(serialised: bytes) -> bytes:
    """Store large float32 initialisers as float16 and cast them back on loading: half the size, float32 arithmetic."""
    model = onnx.load_from_string(serialised)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= SMALLEST:
            name = tensor.name
            small = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half")
            tensor.CopyFrom(small)
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def quarter(serialised: bytes) -> bytes:
    """Store large weights as int8 with a scale per output channel, the rest as ``halve``; arithmetic stays float32."""
    model = onnx.load_from_string(serialised)
    nodes = []
    for tensor in list(model.graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2 or np.prod(tensor.dims) < SMALLEST:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        # The exporter turns some matrices round: channels lie along the axis that was rounded.
        steps, scale = min((_steps(values, axis) for axis in (0, 1)), key=lambda made: made[2])[:2]
        tensor.CopyFrom(numpy_helper.from_array(steps, f"{name}.steps"))
        model.graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes.append(helper.make_node("Cast", [f"{name}.steps"], [f"{name}.wide"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name]))
    nodes.extend(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return halve(bytes(model.SerializeToString()))


def _steps(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Whole steps of -127..127 along an axis, their scale, and the largest error."""
    others = tuple(place for place in range(values.ndim) if place != axis)
    scale = np.maximum(np.abs(values).max(axis=others, keepdims=True), 1e-12).astype(np.float32) / np.float32(127)
    steps = np.round(values / scale).astype(np.int8)
    return steps, scale, float(np.abs(steps * scale - values).max())


def _round_to_steps(model: nn.Module) -> None:
    """The weights that ``quarter`` will store, so that the comparison is of the same numbers."""
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.dtype == torch.float32 and value.ndim >= 2 and value.numel() >= SMALLEST:
                steps, scale, _ = _steps(value.numpy(), 0)
                value.copy_(torch.from_numpy(steps * scale))


def _compare(serialised: bytes, inputs: dict[str, np.ndarray], wanted: list[np.ndarray], what: str) -> float:
    """Largest difference between ONNX Runtime and PyTorch; refuses one over ``TOLERANCE`` of the largest value."""
    session = onnxruntime.InferenceSession(serialised, providers=["CPUExecutionProvider"])
    made = session.run(None, inputs)
    worst = max(float(np.abs(a.astype(np.float64) - b).max()) for a, b in zip(made, wanted, strict=True))
    # Feature maps may reach far beyond 1, and half precision rounds them accordingly.
    allowed = TOLERANCE * max(1.0, *(float(np.abs(b).max()) for b in wanted))
    if not worst <= allowed:
        raise WeightError(f"{what}: ONNX differs from PyTorch by {worst:.2e}, more than {allowed:.0e}; not saved")
    return worst


def _round_to_half(model: nn.Module) -> None:
    """The weights that will be stored, so that the comparison is of the same numbers."""
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.dtype == torch.float32 and value.numel() >= SMALLEST:
                value.copy_(value.half().float())


def encoder_name(dimensions: SpeechDimensions) -> str:
    """Of the weights of an encoder of these sizes."""
    if not dimensions.behind_front:
        return NAME
    return LIVE_NAME if dimensions.live else FILE_NAME


def export_speech(model: SpeechEncoder | Ears, about: dict[str, Any], folder: Path | None = None) -> float:
    """Save ``speech``, or one of those behind the front; returns the largest difference to PyTorch."""
    model = model.cpu().eval()
    _round_to_steps(model)
    mel = torch.randn(1, model.dimensions.context_rows + 3 * model.dimensions.steps, model.dimensions.bands)
    state = torch.randn_like(model.initial_state(1))
    heard = model.dimensions.sound
    axes = {heard: {1: "rows"}, "features": {1: "frames"}}
    onnx_bytes = quarter(_export(model, (mel, state), [heard, "state"], ["features", "next_state"], dynamic_axes=axes))
    longer = torch.randn(1, model.dimensions.context_rows + 50 * model.dimensions.steps, model.dimensions.bands)
    with torch.no_grad():
        wanted = [x.numpy() for x in model(longer, state)]
    name = encoder_name(model.dimensions)
    worst = _compare(onnx_bytes, {heard: longer.numpy(), "state": state.numpy()}, wanted, name)
    weights.save(name, onnx_bytes, {**about, "dimensions": model.dimensions.as_dict()}, folder)
    return worst


def export_coefficients(model: CoefficientReader, about: dict[str, Any], folder: Path | None = None) -> float:
    """Save ``coefficients``; returns the largest difference to PyTorch."""
    model = model.cpu().eval()
    _round_to_half(model)
    around = model.average + model.spread * torch.randn(7, len(model.average))
    points = around.reshape(7, -1, 3)
    axes = {"points": {0: "frames"}, "coefficients": {0: "frames"}}
    onnx_bytes = halve(_export(model, (points[:1],), ["points"], ["coefficients"], dynamic_axes=axes))
    with torch.no_grad():
        wanted = [model(points).numpy()]
    worst = _compare(onnx_bytes, {"points": points.numpy()}, wanted, "coefficients")
    weights.save("coefficients", onnx_bytes, {**about, "dimensions": model.dimensions.as_dict()}, folder)
    return worst


def export_lips(model: Lips, preset: str, about: dict[str, Any], folder: Path | None = None) -> float:
    """Save both stages of a preset; returns the largest difference to PyTorch (pictures 0..1)."""
    model = model.cpu().eval()
    _round_to_half(model)
    size = model.dimensions
    # Smooth pictures: on noise a warp's last digit becomes a large difference.
    noise = torch.randint(0, 256, (size.references, 3, CROP_PX, CROP_PX)).float()
    crops = F.avg_pool2d(noise, 9, 1, 4).permute(0, 2, 3, 1).to(torch.uint8)
    crop, audio = crops[:1, :HALF_PX].contiguous(), torch.randn(1, size.window, size.features)
    own = torch.randn(1, size.references, size.features)
    stances = 0.3 * torch.randn(1, 1 + size.references, size.stance)
    left = torch.tensor([PLACED_PX])
    with torch.no_grad():
        memory = _References(model)(crops)
        given = (crop, audio, *memory, own, stances, left)
        exact = _Frame(model, exact=True)(*given)
    # Constants are left for ONNX Runtime to fold: in the file every parameter keeps its name and its shape.
    plain = {"do_constant_folding": False}
    references = halve(_export(_References(model), (crops,), ["crops"], list(MEMORY), **plain))
    worst = _compare(references, {"crops": crops.numpy()}, [x.numpy() for x in memory], f"lips_{preset}_references")
    names = ["crop", "audio", *MEMORY, "own", "stances", "left"]
    inputs = {name: value.numpy() for name, value in zip(names, given, strict=True)}
    checked = halve(_export(_Frame(model, exact=True), given, names, ["lower"], **plain))
    worst = max(worst, _compare(checked, inputs, [exact.numpy()], f"lips_{preset}_frame"))
    told = {**about, "dimensions": size.as_dict()}
    weights.save(f"lips_{preset}_references", references, told, folder)
    weights.save(f"lips_{preset}_frame", halve(_export(_Frame(model), given, names, ["lower"], **plain)), told, folder)
    return worst
