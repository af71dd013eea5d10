"""The front for streams (``audio.live_front``): a speech recogniser's first layers whose attention looks back only.

Of Moonshine (Jeffries et al. 2024, arXiv 2410.15608): three convolutions over samples, then pre-norm transformer layers
with rotary positions. Two things differ, because a stream does not know its end: levels are those of all speech instead
of the window's, and attention sees some frames back and none ahead.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class FrontDimensions:
    """Sizes of the front for streams.

    Attributes:
        width: numbers in a row. heads: of attention. turned: of a head's numbers, those that tell of places.
        layers: transformer layers. past: own frames that each of them looks back.
    """

    width: int = 288
    heads: int = 8
    turned: int = 32
    layers: int = 3
    past: int = 64

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class FrontStem(nn.Module):
    """``[B, N]`` samples -> ``[B, n, width]``, one row every 384 samples that begin; each sees 895."""

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, width, 127, stride=64, bias=False)
        self.second = nn.Conv1d(width, 2 * width, 7, stride=3)
        self.third = nn.Conv1d(2 * width, width, 3, stride=2)
        self.gain, self.offset = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        # Of all speech at its usual level.
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, samples: Tensor) -> Tensor:
        x = (self.heard(samples) - self.mean) / self.spread
        x = x * self.gain[:, None] + self.offset[:, None]
        return F.gelu(self.third(F.gelu(self.second(x)))).transpose(1, 2)

    def heard(self, samples: Tensor) -> Tensor:
        """What ``mean`` and ``spread`` are of: ``[B, width, n]``."""
        return torch.tanh(self.first(samples[:, None]))


class FrontLayer(nn.Module):
    """Attention to frames before, then two full layers, each beside what came in."""

    def __init__(self, size: FrontDimensions) -> None:
        super().__init__()
        self.size = size
        width = size.width
        self.norm, self.second_norm = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, before: Tensor, turns: tuple[Tensor, Tensor], seen: Tensor) -> tuple[Tensor, Tensor]:
        """One layer on.

        Args:
            x: ``[B, n, width]``.
            before: ``[2, B, past, width]``: keys and values of frames before.
            turns: cosines and sines ``[past + n, turned]`` of places.
            seen: ``[B, 1, n, past + n] bool``.

        Returns:
            ``[B, n, width]``, and what comes before the next frames.
        """
        inner = self.norm(x)
        both = torch.stack([self.key(inner), self.value(inner)])
        both = torch.cat([before, both], 2)
        key, value = self._turned(self._heads(both[0]), turns), self._heads(both[1])
        query = self._turned(self._heads(self.query(inner)), (turns[0][-x.shape[1] :], turns[1][-x.shape[1] :]))
        told = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        x = x + self.out(told.transpose(1, 2).flatten(2))
        x = x + self.narrow(F.gelu(self.wide(self.second_norm(x))))
        return x, both[:, :, -self.size.past :]

    def _heads(self, x: Tensor) -> Tensor:
        size = self.size
        return x.reshape(x.shape[0], x.shape[1], size.heads, size.width // size.heads).transpose(1, 2)

    def _turned(self, x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        turned, rest = x[..., : self.size.turned], x[..., self.size.turned :]
        crossed = torch.stack([-turned[..., 1::2], turned[..., 0::2]], -1).reshape(turned.shape)
        return torch.cat([turned * turns[0] + crossed * turns[1], rest], -1)


class LiveFront(nn.Module):
    """Stem, layers and a readout that tells what the whole's front would; state in, state out."""

    rates: Tensor

    def __init__(self, dimensions: FrontDimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.stem = FrontStem(dimensions.width)
        self.layers = nn.ModuleList(FrontLayer(dimensions) for _ in range(dimensions.layers))
        self.readout = nn.Linear(dimensions.width, dimensions.width)
        # Turns per frame, of each pair of numbers.
        self.register_buffer("rates", torch.ones(dimensions.turned // 2))

    def initial_state(self, batch: int) -> Tensor:
        """``[layers, 2, B, past, width]`` zeros."""
        size = self.dimensions
        return self.rates.new_zeros(size.layers, 2, batch, size.past, size.width)

    def forward(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, (n - 1) * 384 + 895]`` levelled samples -> ``[B, n, width]``, and the next state."""
        return self.told(self.stem(samples), state)

    def told(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The same from what the stem gave."""
        past, count = self.dimensions.past, x.shape[1]
        # Only how far places are apart counts: they begin anew with every call, so that no stream is too long.
        places = torch.arange(past + count, device=x.device)
        angles = (places[:, None, None] * self.rates[:, None]).expand(-1, -1, 2).flatten(1)
        back = places[past:, None] - places
        # Frames before the stream's beginning are zeros: attention passes over them.
        known = torch.cat([state[0, 0].abs().amax(-1), torch.ones_like(x[..., 0])], 1) > 0
        seen = ((back >= 0) & (back <= past)) & known[:, None, None]
        kept = []
        for place, layer in enumerate(self.layers):
            x, own = layer(x, state[place], (angles.cos(), angles.sin()), seen)
            kept.append(own)
        return self.readout(x), torch.stack(kept)
