"""The front's own numbers, read out of its graph: where the front for streams begins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from kouxing import weights
from kouxing.audio.front import NAME
from kouxing.models.live_front import FrontDimensions, LiveFront

CONVOLUTIONS = {"conv1": "first", "conv2": "second", "conv3": "third"}
MATRICES = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "dense": "out", "fc1": "wide", "fc2": "narrow"}
NORMS = {"input_layernorm": "norm", "post_attention_layernorm": "second_norm"}
LEVELS = {"/groupnorm/Mul": "gain", "/groupnorm/Add": "offset"}
RATES = "/rotary_emb/Cast_1_output_0"


def fresh() -> LiveFront:
    """The front's layers before any lesson; the stem stays as it is.

    Raises:
        WeightError: the front is missing or damaged.
    """
    graph = onnx.load_from_string(weights.content(NAME)).graph
    tensors = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    model = LiveFront(FrontDimensions())
    given = _stem(graph, tensors) | _layers(graph, tensors, model.dimensions.layers)
    given["rates"] = tensors[RATES].reshape(-1)
    scale = tensors["front.scale"]
    given["readout.weight"], given["readout.bias"] = np.diag(scale), -tensors["front.mean"] * scale
    told = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in given.items()}
    # Mean and spread are of levelled speech, which the front does not know.
    model.load_state_dict(told | {name: getattr(model.stem, name[5:]) for name in ("stem.mean", "stem.spread")})
    model.stem.requires_grad_(False)
    return model


def _stem(graph: onnx.GraphProto, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    made = {f"stem.{ours}.weight": _whole(tensors, f"{theirs}.weight") for theirs, ours in CONVOLUTIONS.items()}
    made |= {f"stem.{CONVOLUTIONS[theirs]}.bias": tensors[f"{theirs}.bias"] for theirs in ("conv2", "conv3")}
    for node in graph.node:
        if node.name in LEVELS:
            made[f"stem.{LEVELS[node.name]}"] = tensors[node.input[1]].reshape(-1)
    return made


def _layers(graph: onnx.GraphProto, tensors: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    made = {}
    for node in graph.node:
        # Matrices have no names of their own: their outputs tell where they stand.
        if node.op_type == "MatMulInteger" and node.input[1].endswith("_quantized"):
            path = node.output[0].removeprefix("/").split("/")
            ours = next(ours for theirs, ours in MATRICES.items() if theirs in path)
            made[f"{path[0]}.{ours}.weight"] = _whole(tensors, node.input[1].removesuffix("_quantized")).T
    for layer in range(count):
        place = f"layers.{layer}"
        made |= {f"{place}.{ours}.weight": tensors[f"{place}.{theirs}.weight"] for theirs, ours in NORMS.items()}
        made |= {f"{place}.{MATRICES[name]}.bias": tensors[f"{place}.mlp.{name}.bias"] for name in ("fc1", "fc2")}
    return made


def _whole(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """A tensor that is stored in 8 bits: of matrices the step is told that stands for 0, of convolutions an offset."""
    steps, scale, zero = (tensors[f"{name}_{part}"] for part in ("quantized", "scale", "zero_point"))
    if zero.dtype == np.float32:
        return np.asarray(steps * scale + zero, np.float32)
    return np.asarray((steps.astype(np.float32) - zero.astype(np.float32)) * scale, np.float32)
