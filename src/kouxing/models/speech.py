"""Speech encoder: log-mel, or what the front tells (``audio.front``), -> mouth geometry, streaming (state in, state
out) with a declared look-ahead.

Its output is the audio feature sequence [B, L, D] of ``lips`` (methods.md section 4) and carries geometry, because
pixels learn slowly straight from sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.audio.features import SILENT_MEL
from kouxing.units import MEL_BANDS, MELS_PER_FRAME


@dataclass(frozen=True)
class SpeechDimensions:
    """Sizes of the speech encoder.

    Attributes:
        bands: numbers in a row of sound: mel bands, or the front's width.
        width: channels of the convolutions.
        hidden: units of each GRU layer.
        layers: GRU layers.
        reach: video frames that the convolutions see on each side of their middle.
        earlier: rows by which that middle lies before the video frame: so much less is looked ahead.
        steps: rows of sound in per video frame: ``MELS_PER_FRAME`` of log-mel, or 1 of the front (``audio.front``).
        features: D, features out per video frame.
        members: encoders of this shape whose features are averaged (``Ears``).
    """

    bands: int = MEL_BANDS
    width: int = 160
    hidden: int = 160
    layers: int = 2
    reach: int = 5
    features: int = 16
    members: int = 1
    earlier: int = 0
    steps: int = MELS_PER_FRAME

    @property
    def behind_front(self) -> bool:
        """Whether rows of sound are the front's instead of log-mel."""
        return self.steps == 1

    @property
    def live(self) -> bool:
        """Whether it is for streams."""
        return self.earlier > 0

    @property
    def sound(self) -> str:
        """What exported graphs call the rows of sound."""
        return "heard" if self.behind_front else "mel"

    @property
    def quiet(self) -> float:
        """What stands for no sound in rows of it."""
        return 0.0 if self.behind_front else SILENT_MEL

    @property
    def before_rows(self) -> int:
        """Rows of sound of the past that are kept between chunks."""
        return self.reach * self.steps + self.earlier

    @property
    def after_rows(self) -> int:
        """Rows of sound behind a video frame's own that are waited for: the look-ahead."""
        return self.reach * self.steps - self.earlier

    @property
    def context_rows(self) -> int:
        """Both together."""
        return self.before_rows + self.after_rows

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class SpeechEncoder(nn.Module):
    """Convolutions over a window of ``2 * reach + 1`` video frames, then a causal GRU.

    The convolutions use no padding: a chunk is preceded by ``context_rows`` rows of context, so whole and
    chunked output are equal by construction.
    """

    def __init__(self, dimensions: SpeechDimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        width = dimensions.width
        # 100 Hz -> 50 -> 25 Hz, which costs one frame on each side; every middle layer costs one more.
        strided = not dimensions.behind_front
        self.first = nn.Conv1d(dimensions.bands, width, *((4, 2) if strided else (1,)))
        self.second = nn.Conv1d(width, width, 4, stride=2) if strided else None
        middles = dimensions.reach - 1 if strided else dimensions.reach
        self.middle = nn.ModuleList(nn.Conv1d(width, width, 3) for _ in range(middles))
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
            mel: rows of sound ``[B, before_rows + steps * T + after_rows, bands]``: past context, T video frames,
                look-ahead.
            state: ``[layers, B, hidden]`` from the chunk before, or ``initial_state``.

        Returns:
            features ``[B, T, D]`` and the next state.
        """
        heard, state = self.trunk(mel, state)
        return self.readout(heard), state

    def trunk(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """What the readout and the helping heads of training start from: ``[B, T, hidden + width]``, and the state."""
        # The front tells much that is of no use here: some of it is left out each time.
        x = (mel if self.second is not None else self.drop(mel)).transpose(1, 2)
        x = self._normed(0, F.gelu(self.first(x)))
        if self.second is not None:
            x = self._normed(1, F.gelu(self.second(x)))
        for place, conv in enumerate(self.middle, 1 if self.second is None else 2):
            inner = x[:, :, 1:-1]
            x = self._normed(place, inner + F.gelu(conv(x)))
        x = self.drop(x.transpose(1, 2))
        y, state = self.gru(x, state)
        return torch.cat([self.drop(y), x], -1), state

    def _normed(self, place: int, x: Tensor) -> Tensor:
        return self.norms[place](x.transpose(1, 2)).transpose(1, 2)


class Ears(nn.Module):
    """Several encoders of one shape, trained apart; their mean errs less than any of them on strangers.

    In and out as of one ``SpeechEncoder``; the states lie one after the other along the layers.
    """

    def __init__(self, members: Sequence[SpeechEncoder]) -> None:
        super().__init__()
        shapes = {member.dimensions for member in members}
        if len(shapes) != 1:
            raise ValueError(f"members must be of one shape, got {shapes}")
        self.members = nn.ModuleList(members)
        self.dimensions = replace(shapes.pop(), members=len(members))

    def initial_state(self, batch: int) -> Tensor:
        """``[members * layers, B, hidden]`` zeros."""
        return torch.cat([member.initial_state(batch) for member in self.members])  # type: ignore[operator]

    def forward(self, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """As ``SpeechEncoder.forward``."""
        states = state.chunk(len(self.members))
        told = [member(mel, own) for member, own in zip(self.members, states, strict=True)]
        return torch.stack([features for features, _ in told]).mean(0), torch.cat([own for _, own in told])


class Listener(nn.Module):
    """An encoder in training, with helping heads: more to learn about the mouth, less room to learn people by heart.

    Args:
        encoder: what is trained and, alone, exported.
        classes: mouth classes told for every mel frame (``text.phones.MOUTHS``).
        coefficients: motion-capture channels told for every video frame.
    """

    def __init__(self, encoder: SpeechEncoder, classes: int, coefficients: int) -> None:
        super().__init__()
        self.encoder = encoder
        heard = encoder.dimensions.hidden + encoder.dimensions.width
        self.classes = nn.Linear(heard, MELS_PER_FRAME * classes)
        self.coefficients = nn.Linear(heard, coefficients)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Streams at their beginning.

        Args:
            mel: as ``SpeechEncoder.forward``.

        Returns:
            features ``[B, T, D]``, class logits ``[B, 4T, classes]`` and coefficients ``[B, T, C]``.
        """
        heard, _ = self.encoder.trunk(mel, self.encoder.initial_state(len(mel)))
        batch, frames, _ = heard.shape
        logits = self.classes(heard).reshape(batch, frames * MELS_PER_FRAME, -1)
        return self.encoder.readout(heard), logits, self.coefficients(heard)
