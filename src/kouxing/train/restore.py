"""Exported ``lips`` graphs back as a PyTorch model, and a model's numbers under the graphs' names.

``fit`` starts from what ships and writes what the shipped graphs can be given (``infer.person``), so that no
checkpoint has to travel with the package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kouxing import weights
from kouxing.errors import WeightError
from kouxing.infer.person import STAGES
from kouxing.models.lips import Lips, LipsDimensions
from kouxing.weights import graph

PREFIX, HALF = "model.", ".half"
"""How ``train.export`` names parameters, and those kept as float16."""

Places = dict[str, list[tuple[str, bool]]]
"""``stage/name in the graph`` -> parameters, each with whether it is transposed there. Equal ones are stored once."""


def lips(preset: str, folder: Path | None = None) -> tuple[Lips, Places]:
    """The network of a preset, and where its parameters lie in the graphs.

    Args:
        preset: ``fast`` or ``fine``.
        folder: as for ``weights.session``.

    Raises:
        WeightError: weights are missing, damaged, or not of this program's network.
    """
    told = weights.card(f"lips_{preset}_frame", folder)["dimensions"]
    try:
        sizes: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in told.items()}
        size = LipsDimensions(**sizes)
        model = Lips(size)
    except (TypeError, ValueError, IndexError) as error:
        raise WeightError(f"card of lips_{preset}_frame: dimensions that this program does not know") from error
    found: Places = {}
    state: dict[str, torch.Tensor] = {}
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    for stage in STAGES:
        content = weights.content(f"lips_{preset}_{stage}", folder)
        names = _parameters(content, shapes)
        for name, row in graph.stored(content).items():
            if name not in names:
                raise WeightError(f"lips_{preset}_{stage}: tensor {name!r} belongs to no parameter; export it anew")
            found[f"{stage}/{name}"] = names[name]
            value = np.asarray(graph.values(content, row), np.float32)
            for parameter, turned in names[name]:
                state[parameter] = torch.from_numpy(np.array(value.T if turned else value))
    if {name: tuple(value.shape) for name, value in state.items()} != shapes:
        raise WeightError(f"lips_{preset}: the graphs do not hold this program's network; export it anew")
    model.load_state_dict(state, strict=False)
    return model.eval(), found


def tensors(model: Lips, places: Places, preset: str) -> dict[str, NDArray[Any]]:
    """The model's numbers as the shipped graphs take them: ``stage/name`` -> array of the graph's type.

    Parameters that the graph keeps once because they were equal are given their mean.
    """
    kinds = {
        f"{stage}/{name}": row.dtype
        for stage in STAGES
        for name, row in graph.stored(weights.content(f"lips_{preset}_{stage}")).items()
    }
    state = {name: value.detach().float().cpu().numpy() for name, value in model.named_parameters()}
    made = {}
    for name, owners in places.items():
        value = np.mean([state[parameter].T if turned else state[parameter] for parameter, turned in owners], 0)
        made[name] = np.ascontiguousarray(value.astype(kinds[name]))
    return made


def _parameters(content: bytes, shapes: Mapping[str, tuple[int, ...]]) -> Places:
    """Tensor in the graph -> parameters; linear layers on several rows are stored transposed and without a name."""
    model = onnx.load_from_string(content)
    nodes = list(model.graph.node)
    kept = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Cast" and node.input[0].endswith(HALF)}
    found: Places = {}
    for one in model.graph.initializer:
        name = one.name.removesuffix(HALF).removeprefix(PREFIX)
        if name in shapes:
            found[one.name] = [(name, False)]
    for node in nodes:
        twin = node.output[0].removeprefix(PREFIX)
        if node.op_type == "Identity" and twin in shapes and node.input[0] in found:
            found[node.input[0]].append((twin, False))
    for bias, inner in _linear(nodes):
        weight = f"{bias.removeprefix(PREFIX).removesuffix('bias')}weight"
        if weight in shapes:
            found[kept.get(inner, inner)] = [(weight, True)]
    return found


def _linear(nodes: list[Any]) -> Iterator[tuple[str, str]]:
    """(bias, matrix) of every product that a named bias is added to."""
    products = {node.output[0]: node.input[1] for node in nodes if node.op_type == "MatMul"}
    for node in nodes:
        if node.op_type != "Add":
            continue
        for one, other in (node.input, reversed(node.input)):
            if one.startswith(PREFIX) and one.endswith(".bias") and other in products:
                yield one, products[other]
