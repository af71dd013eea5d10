"""Speech encoder, first version: log-mel -> mouth geometry, streaming (state in, state out) with a declared look-ahead.

Its output is the audio feature sequence [B, L, D] of ``lips`` (methods.md section 4) and carries geometry, because
pixels learn slowly straight from sound.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.units import MEL_BANDS, MELS_PER_FRAME


@dataclass(frozen=True)
class SpeechDimensions:
    """Sizes of the speech encoder.

    Attributes:
        bands: mel bands in.
        width: channels of the convolutions.
        hidden: units of each GRU layer.
        layers: GRU layers.
        reach: video frames that the convolutions see before and behind the current one (the look-ahead).
        features: D, features out per video frame.
    """

    bands: int = MEL_BANDS
    width: int = 160
    hidden: int = 160
    layers: int = 2
    reach: int = 5
    features: int = 16

    @property
    def context_mels(self) -> int:
        """Mel frames of the past that are kept between chunks, and of the future that are waited for."""
        return self.reach * MELS_PER_FRAME

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class SpeechEncoder(nn.Module):
    """Convolutions over a window of ``2 * reach + 1`` video frames, then a causal GRU.

    The convolutions use no padding: a chunk is preceded by ``2 * context_mels`` mel frames of context, so whole and
    chunked output are equal by construction.
    """

    def __init__(self, dimensions: SpeechDimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        width = dimensions.width
        # 100 Hz -> 50 -> 25 Hz, which costs one frame on each side; every middle layer costs one more.
        self.first = nn.Conv1d(dimensions.bands, width, 4, stride=2)
        self.second = nn.Conv1d(width, width, 4, stride=2)
        self.middle = nn.ModuleList(nn.Conv1d(width, width, 3) for _ in range(dimensions.reach - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(dimensions.reach + 1))
        self.drop = nn.Dropout(0.2)
        self.gru = nn.GRU(width, dimensions.hidden, dimensions.layers, batch_first=True, dropout=0.2)
        self.readout = nn.Sequential(
            nn.Linear(dimensions.hidden + width, dimensions.hidden),
            nn.GELU(),
            nn.Linear(dimensions.hidden, dimensions.features),
        )

    def initial_state(self, batch: int) -> Tensor:
        """``[layers, B, hidden]`` zeros."""
        weight = self.first.weight
        return torch.zeros(
            self.dimensions.layers, batch, self.dimensions.hidden, dtype=weight.dtype, device=weight.device
        )

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the video frames in the middle of ``mel``.

        Args:
            mel: ``[B, context_mels + 4 * T + context_mels, bands]``: past context, T video frames, look-ahead.
            state: ``[layers, B, hidden]`` from the chunk before, or ``initial_state``.

        Returns:
            features ``[B, T, D]`` and the next state.
        """
        x = mel.transpose(1, 2)
        x = self._normed(0, F.gelu(self.first(x)))
        x = self._normed(1, F.gelu(self.second(x)))
        for place, conv in enumerate(self.middle, 2):
            inner = x[:, :, 1:-1]
            x = self._normed(place, inner + F.gelu(conv(x)))
        x = self.drop(x.transpose(1, 2))
        y, state = self.gru(x, state)
        return self.readout(torch.cat([self.drop(y), x], -1)), state

    def _normed(self, place: int, x: Tensor) -> Tensor:
        return self.norms[place](x.transpose(1, 2)).transpose(1, 2)
