"""Reads the lips' landmarks out of the lower half of a crop.

Inside training it judges mouth shape and lends its feature maps to the perceptual loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.models.layers import start_small
from kouxing.types import LIPS

WIDTHS = (16, 24, 48, 64, 96)


class ShapeReader(nn.Module):
    """Lower half ``[N, 3, 128, 256]``, 0..1 -> lip landmarks ``[N, 40, 2]`` in halves of the crop (0..2 across)."""

    average: Tensor

    def __init__(self) -> None:
        super().__init__()
        channels = (3, *WIDTHS)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(channels[:-1], channels[1:], strict=True)
        )
        # Large maps get one convolution only: they cost most and say least about shape.
        self.mid = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) if place >= 2 else nn.Identity() for place, width in enumerate(WIDTHS)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for width in WIDTHS)
        # Where the mouth lies matters: places are kept to the end.
        hidden, last = nn.Linear(WIDTHS[-1] * 4 * 8, 256), nn.Linear(256, LIPS * 2)
        self.head = nn.Sequential(nn.Flatten(), hidden, nn.GELU(), last)
        # Starts at the average mouth, which training sets; a network that must first find 80 constants learns late.
        self.register_buffer("average", torch.ones(LIPS, 2))
        start_small(last, 0.01)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Feature maps at 1/2, 1/4, 1/8, 1/16, 1/32."""
        found = []
        for conv, mid, norm in zip(self.convs, self.mid, self.norms, strict=True):
            x = F.leaky_relu(conv(x), 0.1)
            x = F.leaky_relu(norm(mid(x)), 0.1)
            found.append(x)
        return found

    def landmarks(self, last: Tensor) -> Tensor:
        """Landmarks out of the last of ``maps``."""
        return self.average + self.head(last).reshape(-1, LIPS, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.landmarks(self.maps(x)[-1])


def opening(landmarks: Tensor, lower: int, upper: int) -> Tensor:
    """Inner-lip gap ``[N]`` of landmarks ``[N, 40, 2]``."""
    return torch.linalg.vector_norm(landmarks[:, lower] - landmarks[:, upper], dim=-1)
