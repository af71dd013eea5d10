"""An exported sync discriminator back as a PyTorch model: who trains against it needs its files, not the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from kouxing import weights
from kouxing.errors import WeightError
from kouxing.infer.discriminator import MOUTH, SPEECH
from kouxing.models.sync import Discriminator, Judges, SyncDimensions

STEPS, SCALE = ".steps", ".scale"
"""How ``train.export`` names tensors kept as whole steps, and the size of a step."""


def judge(folder: Path | None = None) -> Discriminator | Judges:
    """The discriminator of ``sync_mouth`` and ``sync_speech``, ready to judge.

    The scale that turned its cosines into logits while it was trained is not in the files.

    Args:
        folder: as for ``weights.session``.

    Raises:
        WeightError: the files are missing, damaged, or not of this program's network.
    """
    told = {name: value for name, value in weights.card(MOUTH, folder)["dimensions"].items() if name != "calibration"}
    mouths, speeches = weights.content(MOUTH, folder), weights.content(SPEECH, folder)
    try:
        size = SyncDimensions.of(told)
        one = SyncDimensions.of({**told, "members": 1, "features": size.features // size.members})
        members = [Discriminator(one) for _ in range(size.members)]
        _fill([member.mouth for member in members], mouths, "encoder.")
        _fill([member.speech for member in members], speeches, "")
    except (TypeError, ValueError, KeyError, RuntimeError, StopIteration) as error:
        raise WeightError(f"{MOUTH}, {SPEECH}: not of this program's discriminator; export it anew") from error
    return (members[0] if len(members) == 1 else Judges(members)).eval()


def _fill(parts: list[nn.Module], content: bytes, prefix: str) -> None:
    """Give the parts their numbers: by their names, and in the order of use where the export took the name."""
    graph = onnx.load_from_string(content).graph
    kept = _kept(graph)
    convolutions, matrices = _nameless(graph, kept, "Conv"), _nameless(graph, kept, "MatMul")
    for place, part in enumerate(parts):
        own = prefix if len(parts) == 1 else f"{prefix}parts.{place}."
        state = part.state_dict()
        found = {name: kept[own + name] for name in state if own + name in kept}
        for name, module in part.named_modules():
            if isinstance(module, nn.Conv2d):
                # The norm behind a convolution became part of it: what is left of it adds the bias.
                found[f"{name}.weight"], bias = next(convolutions)
                norm = _norm(name)
                found[f"{norm}.bias"] = bias
                found[f"{norm}.weight"] = (state[f"{norm}.running_var"] + nn.BatchNorm2d(1).eps).sqrt()
                found |= {other: state[other] for other in state if other.startswith(f"{norm}.") and other not in found}
            elif isinstance(module, nn.Linear) and f"{name}.weight" not in found:
                found[f"{name}.weight"] = next(matrices)[0].T
        part.load_state_dict(found)


def _norm(convolution: str) -> str:
    """Name of the norm behind a convolution of ``models.sync.MouthEncoder``."""
    within, _, last = convolution.rpartition(".")
    return f"{within}.{int(last) + 1}" if last.isdigit() else f"{convolution}_norm"


def _kept(graph: onnx.GraphProto) -> dict[str, Tensor]:
    """All numbers of a graph, those kept in steps multiplied out."""
    stored = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()).float() for one in graph.initializer}
    steps = [name.removesuffix(STEPS) for name in stored if name.endswith(STEPS)]
    return stored | {name: stored[name + STEPS] * stored[name + SCALE] for name in steps}


def _nameless(graph: onnx.GraphProto, kept: dict[str, Tensor], kind: str) -> Iterator[tuple[Tensor, ...]]:
    """What nodes of a kind multiply by and add, where the export gave it a number for a name."""
    for node in graph.node:
        if node.op_type == kind and node.input[1].startswith(f"onnx::{kind}"):
            yield tuple(kept[name] for name in node.input[1:])
