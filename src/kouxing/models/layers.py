"""Parts that several networks share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def positions(count: int, width: int) -> Tensor:
    """Sinusoidal absolute positions ``[count, width]`` (methods.md section 4, Fusion c)."""
    place = torch.arange(count, dtype=torch.float32)[:, None]
    pace = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    table = torch.zeros(count, width)
    table[:, 0::2], table[:, 1::2] = torch.sin(place * pace), torch.cos(place * pace)
    return table


def start_small(layer: nn.Linear | nn.Conv2d, spread: float) -> None:
    """Begin near zero: weights drawn with standard deviation ``spread``, bias 0."""
    nn.init.normal_(layer.weight, std=spread)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Attention(nn.Module):
    """Multi-head scaled dot-product attention, softmax(Q K^T / sqrt(G)) V, plain enough to export."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, query: Tensor, source: Tensor, shut: Tensor | None = None) -> Tensor:
        """Attend from ``query [B, N, W]`` to ``source [B, M, W]``; ``shut [M]`` adds -inf where True."""
        q, k, v = self._split(self.query(query)), self._split(self.key(source)), self._split(self.value(source))
        score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if shut is not None:
            score = score.masked_fill(shut, -1e4)
        mixed = (score.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return self.out(mixed)

    def _split(self, x: Tensor) -> Tensor:
        batch, count, width = x.shape
        return x.reshape(batch, count, self.heads, width // self.heads).transpose(1, 2)


class Residual(nn.Module):
    """Two convolutions around a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu(self.first(F.leaky_relu(x, 0.1)), 0.1))


class Modulate(nn.Module):
    """Scale and shift of every channel by a vector (feature-wise linear modulation)."""

    def __init__(self, drive: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(drive, 2 * width)
        start_small(self.linear, 0.02)

    def forward(self, x: Tensor, drive: Tensor) -> Tensor:
        """``x [N, C, H, W]`` by ``drive [N, D]`` -> the shape of ``x``."""
        scale, shift = self.linear(drive).chunk(2, 1)
        if torch.onnx.is_in_onnx_export() and len(scale) == 1:
            # As a normalisation by nothing: one pass over the maps instead of two, and only frame by frame.
            mean, variance = (x.new_full((x.shape[1],), value) for value in (0.0, 1.0))
            return F.batch_norm(x, mean, variance, 1 + scale[0], shift[0], eps=0.0)
        return x * (1 + scale[:, :, None, None]) + shift[:, :, None, None]


class Spade(nn.Module):
    """Normalise, then scale and shift every place by maps made from image features (Park et al. 2019, section 3)."""

    def __init__(self, width: int, guide: int) -> None:
        super().__init__()
        hidden = max(12, width // 2)
        self.shared = nn.Conv2d(guide, hidden, 3, padding=1)
        self.maps = nn.Conv2d(hidden, 2 * width, 3, padding=1)
        start_small(self.maps, 0.01)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        scale, shift = self.maps(F.relu(self.shared(guide))).chunk(2, 1)
        return F.instance_norm(x) * (1 + scale) + shift


class PlainBlock(nn.Module):
    """Decoder block of the light preset: convolutions modulated by the drive."""

    def __init__(self, width: int, guide: int, drive: int) -> None:
        super().__init__()
        self.join = nn.Conv2d(width + guide, width, 1)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.modulate = Modulate(drive, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, guide: Tensor, drive: Tensor) -> Tensor:
        joined = F.leaky_relu(self.join(torch.cat([x, guide], 1)), 0.1)
        y = F.leaky_relu(self.modulate(self.first(joined), drive), 0.1)
        return joined + self.second(y)


class SpadeBlock(PlainBlock):
    """Decoder block of the fine preset: the light one's, refined by a SPADEResnetBlock (Park et al. 2019).

    The light block's parameters keep their names and the refinement starts at next to nothing, so that the fine network
    can begin where the fast one ended.
    """

    def __init__(self, width: int, guide: int, drive: int) -> None:
        super().__init__(width, guide, drive)
        self.norms = nn.ModuleList(Spade(width, guide) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.refine = Modulate(drive, width)
        start_small(self.convs[1], 1e-3)  # type: ignore[arg-type]

    def forward(self, x: Tensor, guide: Tensor, drive: Tensor) -> Tensor:
        x = super().forward(x, guide, drive)
        y = self.convs[0](F.leaky_relu(self.norms[0](x, guide), 0.2))
        return x + self.convs[1](F.leaky_relu(self.refine(self.norms[1](y, guide), drive), 0.2))
