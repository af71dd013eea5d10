"""Mesh points without head pose -> coefficients: a small network, one frame at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class CoefficientDimensions:
    """Sizes of the network, saved with its weights.

    Attributes:
        points: which mesh points it reads, in order.
        reference: steady points ``[30][3]`` of the average face, onto which meshes are turned (``face.frontal``).
        names: its outputs, in order.
        widths: hidden layers.
        dropout: while training.
    """

    points: tuple[int, ...]
    reference: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]
    widths: tuple[int, ...] = (320, 160)
    dropout: float = 0.1

    def as_dict(self) -> dict[str, Any]:
        """For the weight card."""
        return asdict(self)


class CoefficientReader(nn.Module):
    """``[N, P, 3]`` eye distances -> ``[N, len(names)]``, 0..1.

    ``average`` and ``spread`` ``[3 P]`` of the training faces are set before training.
    """

    average: Tensor
    spread: Tensor

    def __init__(self, dimensions: CoefficientDimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        inputs = 3 * len(dimensions.points)
        self.register_buffer("average", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        layers: list[nn.Module] = []
        for width in dimensions.widths:
            layers += [nn.Linear(inputs, width), nn.GELU(), nn.Dropout(dimensions.dropout)]
            inputs = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, len(dimensions.names))
        # Most coefficients are near 0 most of the time.
        nn.init.constant_(self.head.bias, -2.0)

    def forward(self, points: Tensor) -> Tensor:
        given = (points.flatten(1) - self.average) / self.spread
        return torch.sigmoid(self.head(self.body(given)))
