"""Sync discriminator (methods.md section 3): two encoders -> unit vectors, similarity = cosine.

Both are convolutions without padding along time: row i of the output has seen its own window of real frames and nothing
else, so that no end of a clip can give a lag away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.face.mouth_picture import BOTTOM_PX, HEIGHT_PX, LEFT_PX, RIGHT_PX, SHRINK, TOP_PX, WIDTH_PX
from kouxing.units import CROP_PX, MEL_BANDS, MELS_PER_FRAME


@dataclass(frozen=True)
class SyncDimensions:
    """Sizes of the discriminator.

    Attributes:
        height, width: mouth picture (``face.mouth_picture``).
        bands: mel bands, or numbers of a row of another encoder's states.
        rate: such rows per video frame.
        mouth_reach: video frames that a mouth window sees before and behind its middle one.
        speech_reach: the same of a speech window; what is said around five pictures tells which sound they show.
        channels: feature maps of the mouth encoder at 1/2, 1/4, 1/8 and 1/16.
        heard: channels of the speech encoder.
        hidden: units before the last layer of both.
        features: D, length of the unit vectors.
        members: discriminators of this shape whose similarities are averaged (``Judges``).
    """

    height: int = 48
    width: int = 64
    bands: int = MEL_BANDS
    rate: int = MELS_PER_FRAME
    mouth_reach: int = 2
    speech_reach: int = 5
    channels: tuple[int, int, int, int] = (24, 48, 96, 128)
    heard: int = 160
    hidden: int = 256
    features: int = 128
    members: int = 1

    @property
    def mouth_frames(self) -> int:
        return 2 * self.mouth_reach + 1

    @property
    def speech_mels(self) -> int:
        return (2 * self.speech_reach + 1) * self.rate

    def as_dict(self) -> dict[str, int | list[int]]:
        return {**asdict(self), "channels": list(self.channels)}

    @staticmethod
    def of(told: dict) -> SyncDimensions:
        """From ``as_dict`` of a card or run folder."""
        return SyncDimensions(**{**told, "channels": tuple(told["channels"])})


class _Block(nn.Module):
    """Two convolutions around which the input flows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.first_norm, self.second_norm = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(x + self.second_norm(self.second(y)))


class MouthEncoder(nn.Module):
    """``[B, T, 48, 64]`` grey pictures, 0..1 -> unit vectors ``[B, T - 2 * mouth_reach, D]``."""

    def __init__(self, dimensions: SyncDimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        first, second, third, fourth = dimensions.channels
        layers: list[nn.Module] = []
        # The frames of a window are the first convolution's channels: movement is seen from the first layer on.
        for before, after, size in ((dimensions.mouth_frames, first, 5), (first, second, 3)):
            layers += [_down(before, after, size)]
        layers += [_down(second, third, 3), _Block(third), _down(third, fourth, 3)]
        self.maps = nn.Sequential(*layers)
        area = math.ceil(dimensions.height / 16) * math.ceil(dimensions.width / 16)
        # Where the mouth lies matters: places are kept to the end.
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(fourth * area, dimensions.hidden), nn.ReLU(), nn.Dropout(0.2)
        )
        self.last = nn.Linear(dimensions.hidden, dimensions.features)

    def seen(self, pictures: Tensor) -> Tensor:
        """What the last layer and the helping head start from: ``[B, T - 2 * mouth_reach, hidden]``."""
        batch, frames, height, width = pictures.shape
        count = self.dimensions.mouth_frames
        steps = frames - count + 1
        windows = torch.stack([pictures[:, k : k + steps] for k in range(count)], 2)
        windows = windows.reshape(batch * steps, count, height, width)
        # Light and contrast of a window are nobody's business.
        mean = windows.mean((1, 2, 3), keepdim=True)
        spread = (windows - mean).square().mean((1, 2, 3), keepdim=True).sqrt()
        windows = (windows - mean) / (spread + 0.02)
        windows = windows.contiguous(memory_format=torch.channels_last)
        return self.hidden(self.maps(windows)).reshape(batch, steps, -1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.of_seen(self.seen(pictures))

    def of_seen(self, seen: Tensor) -> Tensor:
        """``[B, T, hidden]`` of ``seen`` -> unit vectors."""
        return unit(self.last(seen))


class SpeechSide(nn.Module):
    """``[B, 4 * (T + 2 * speech_reach), 80]`` log-mel -> unit vectors ``[B, T, D]``.

    Its convolutions have the shapes and names of ``models.speech.SpeechEncoder`` and can start from a trained one.
    """

    def __init__(self, dimensions: SyncDimensions) -> None:
        super().__init__()
        if dimensions.speech_reach < 1:
            raise ValueError(f"speech_reach must be at least 1, got {dimensions.speech_reach}")
        self.dimensions = dimensions
        width = dimensions.heard
        # 100 Hz -> 50 -> 25 Hz, which costs one frame on each side; every middle layer costs one more.
        self.first = nn.Conv1d(dimensions.bands, width, 4, stride=2)
        self.second = nn.Conv1d(width, width, 4, stride=2)
        self.middle = nn.ModuleList(nn.Conv1d(width, width, 3) for _ in range(dimensions.speech_reach - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(dimensions.speech_reach + 1))
        self.hidden = nn.Sequential(nn.Dropout(0.2), nn.Linear(width, dimensions.hidden), nn.GELU(), nn.Dropout(0.2))
        self.last = nn.Linear(dimensions.hidden, dimensions.features)

    def heard(self, mel: Tensor) -> Tensor:
        """What the helping head starts from: ``[B, T, heard]``."""
        x = mel.transpose(1, 2)
        x = self._normed(0, F.gelu(self.first(x)))
        x = self._normed(1, F.gelu(self.second(x)))
        for place, conv in enumerate(self.middle, 2):
            x = self._normed(place, x[:, :, 1:-1] + F.gelu(conv(x)))
        return x.transpose(1, 2)

    def of_heard(self, heard: Tensor) -> Tensor:
        """``[B, T, heard]`` of ``heard`` -> unit vectors."""
        return unit(self.last(self.hidden(heard)))

    def forward(self, mel: Tensor) -> Tensor:
        return self.of_heard(self.heard(mel))

    def _normed(self, place: int, x: Tensor) -> Tensor:
        return self.norms[place](x.transpose(1, 2)).transpose(1, 2)


class Discriminator(nn.Module):
    """Both encoders, and the scale by which cosines become logits.

    Args:
        dimensions: sizes.
        mouth: another encoder with the methods of ``MouthEncoder`` (``models.syncx``).
        speech: another one with those of ``SpeechSide``.
    """

    def __init__(
        self, dimensions: SyncDimensions, mouth: nn.Module | None = None, speech: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.mouth: Any = MouthEncoder(dimensions) if mouth is None else mouth
        self.speech: Any = SpeechSide(dimensions) if speech is None else speech
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    @property
    def scale(self) -> Tensor:
        return self.log_scale.clamp(0.0, math.log(40.0)).exp()

    def forward(self, pictures: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors ``[B, T, D]`` of the mouth and of the speech; the inputs as the encoders take them."""
        return self.mouth(pictures), self.speech(mel)


class Pupil(nn.Module):
    """A discriminator in training, with helping heads that tell mouth geometry: less room to learn people by heart.

    Args:
        judge: what is trained and, alone, exported.
        geometry: numbers that the heads tell of a window's middle frame.
    """

    margin: Tensor

    def __init__(self, judge: Discriminator, geometry: int) -> None:
        super().__init__()
        self.judge = judge
        self.from_mouth = nn.Linear(judge.dimensions.hidden, geometry)
        self.from_speech = nn.Linear(judge.dimensions.heard, geometry)
        # Part of the checkpoint, so that a resumed run goes on with the margin it had.
        self.register_buffer("margin", torch.zeros(()))

    def forward(self, pictures: Tensor, mel: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Unit vectors of mouth and speech ``[B, T, D]``, geometry told by each ``[B, T, G]``."""
        mouth, speech = self.judge.mouth, self.judge.speech
        seen, heard = mouth.seen(pictures), speech.heard(mel)
        return mouth.of_seen(seen), speech.of_heard(heard), self.from_mouth(seen), self.from_speech(heard)


class Judges(nn.Module):
    """Several discriminators of one shape: their vectors end to end, so that the cosine is the mean of theirs."""

    def __init__(self, members: Sequence[Discriminator]) -> None:
        super().__init__()
        shapes = {member.dimensions for member in members}
        if len(shapes) != 1:
            raise ValueError(f"members must be of one shape, got {shapes}")
        self.members = nn.ModuleList(members)
        one = shapes.pop()
        self.dimensions = replace(one, members=len(members), features=one.features * len(members))
        self.mouth = _Joined([member.mouth for member in members])
        self.speech = _Joined([member.speech for member in members])

    def forward(self, pictures: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """As ``Discriminator.forward``."""
        return self.mouth(pictures), self.speech(mel)


class _Joined(nn.Module):
    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([part(x) for part in self.parts], -1) / math.sqrt(len(self.parts))


def mouth_pictures(crops: Tensor) -> Tensor:
    """Crops ``[B, T, 3, 256, 256]``, 0..1 RGB -> ``[B, T, 48, 64]`` as ``face.mouth_picture``, with gradients.

    For networks that are trained against a frozen discriminator.
    """
    batch, frames, _, height, width = crops.shape
    if (height, width) != (CROP_PX, CROP_PX):
        raise ValueError(f"crops must be [B, T, 3, {CROP_PX}, {CROP_PX}], got {tuple(crops.shape)}")
    part = crops[..., TOP_PX:BOTTOM_PX, LEFT_PX:RIGHT_PX]
    grey = part[:, :, 0] * 0.299 + part[:, :, 1] * 0.587 + part[:, :, 2] * 0.114
    return F.avg_pool2d(grey.reshape(batch * frames, 1, *grey.shape[2:]), SHRINK).reshape(
        batch, frames, HEIGHT_PX, WIDTH_PX
    )


def unit(x: Tensor) -> Tensor:
    """Rows of length 1, computed in float32 whatever the rest runs in."""
    x = x.float()
    return x / x.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-6)


def _down(before: int, after: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride=2, padding=size // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )
