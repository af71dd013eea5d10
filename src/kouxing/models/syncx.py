"""Larger encoders for the sync discriminator (``syncx``, methods.md section 3), for users who have their weights.

A ResNeXt that sees each picture, with the parameter names of torchvision's ``resnext50_32x4d``; and a head on the
states of a Whisper encoder (``data.whisper`` makes them).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.models.sync import Discriminator, SyncDimensions, unit

LAYERS = (3, 4, 6, 3)
GROUPS = 32
ENLARGE = 2
"""Mouth pictures are enlarged, so that the last maps are 3 by 4."""


class _Bottleneck(nn.Module):
    """Xie et al. 2017, figure 3c: a grouped convolution between two 1 x 1 ones."""

    def __init__(self, before: int, narrow: int, after: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        if stride != 1 or before != after:
            self.downsample: nn.Module | None = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        else:
            self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNeXt(nn.Module):
    """``[N, 3, h, w]`` -> ``[N, 32 * width]`` features, averaged over places.

    Args:
        layers: blocks of the four levels; the default is ResNeXt-50.
        width: channels of the first level's blocks, 64 for 32x4d.
        groups: of the grouped convolutions.
    """

    def __init__(self, layers: tuple[int, int, int, int] = LAYERS, width: int = 64, groups: int = GROUPS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before = width
        for level, count in enumerate(layers):
            after, narrow = 4 * width << level, 2 * width << level
            blocks = [
                _Bottleneck(before if k == 0 else after, narrow, after, 2 if level and k == 0 else 1, groups)
                for k in range(count)
            ]
            self.add_module(f"layer{level + 1}", nn.Sequential(*blocks))
            before = after
        self.features = before

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for level in range(1, 5):
            x = self.get_submodule(f"layer{level}")(x)
        return x.mean((2, 3))


class ResNeXtMouth(nn.Module):
    """As ``models.sync.MouthEncoder``, each picture seen by a ResNeXt, the window joined behind it."""

    def __init__(self, dimensions: SyncDimensions, body: ResNeXt) -> None:
        super().__init__()
        self.dimensions, self.body = dimensions, body
        self.join = nn.Conv1d(body.features, dimensions.hidden, dimensions.mouth_frames)
        self.last = nn.Linear(dimensions.hidden, dimensions.features)

    def seen(self, pictures: Tensor) -> Tensor:
        """``[B, T, 48, 64]`` -> ``[B, T - 2 * mouth_reach, hidden]``."""
        batch, frames, height, width = pictures.shape
        x = pictures.reshape(batch * frames, 1, height, width)
        x = F.interpolate(x, scale_factor=ENLARGE, mode="bilinear", align_corners=False)
        x = (x - x.mean((2, 3), keepdim=True)) / (x.std((2, 3), keepdim=True) + 0.02)
        told = self.body(x.expand(-1, 3, -1, -1)).reshape(batch, frames, -1)
        return F.relu(self.join(told.transpose(1, 2))).transpose(1, 2)

    def of_seen(self, seen: Tensor) -> Tensor:
        """``[B, T, hidden]`` of ``seen`` -> unit vectors."""
        return unit(self.last(seen))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.of_seen(self.seen(pictures))


class StateSpeech(nn.Module):
    """As ``models.sync.SpeechSide``, from ``[B, rate * T, bands]`` states of another encoder."""

    def __init__(self, dimensions: SyncDimensions) -> None:
        super().__init__()
        self.dimensions = dimensions
        self.norm = nn.LayerNorm(dimensions.bands)
        self.join = nn.Conv1d(dimensions.bands, dimensions.heard, dimensions.speech_mels, stride=dimensions.rate)
        self.hidden = nn.Sequential(nn.Linear(dimensions.heard, dimensions.hidden), nn.GELU(), nn.Dropout(0.2))
        self.last = nn.Linear(dimensions.hidden, dimensions.features)

    def heard(self, states: Tensor) -> Tensor:
        """``[B, T - 2 * speech_reach, heard]``."""
        return F.gelu(self.join(self.norm(states).transpose(1, 2))).transpose(1, 2)

    def of_heard(self, heard: Tensor) -> Tensor:
        """``[B, T, heard]`` of ``heard`` -> unit vectors."""
        return unit(self.last(self.hidden(heard)))

    def forward(self, states: Tensor) -> Tensor:
        return self.of_heard(self.heard(states))


def build(states: int, rate: int, body: ResNeXt | None = None) -> Discriminator:
    """``syncx``: the larger encoders in the same discriminator.

    Args:
        states: numbers in a row of the speech encoder's states.
        rate: rows per video frame.
        body: ResNeXt-50 (32x4d) by default, untrained.
    """
    size = SyncDimensions(bands=states, rate=rate, hidden=512, heard=512, features=256)
    return Discriminator(size, ResNeXtMouth(size, body or ResNeXt()), StateSpeech(size))


def take_over(body: ResNeXt, given: dict[str, Tensor]) -> None:
    """Load torchvision's ``resnext50_32x4d`` (its classifier is left out); every other tensor must fit.

    Raises:
        RuntimeError: one does not.
    """
    body.load_state_dict({name: value for name, value in given.items() if not name.startswith("fc.")})
