"""Networks of two published shapes, to measure ours against: same layer widths, random weights, code of our own.

``Wav2Lip`` after Prajwal et al. 2020 (face 96x96 with six channels, mel 80x16, 36.3 M parameters); ``Ultralight`` after
Ultralight-Digital-Human (a U-Net of inverted residuals at 160x160, speech as 16 codes of 1024 numbers). Nothing that
kouxing ships uses them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WAV2LIP_PX = 96
MEL_SHAPE = (80, 16)
"""Bands and columns of the sound that Wav2Lip sees for a frame: 0.2 s."""

ULTRALIGHT_PX = 160
CODE_FRAMES, CODES, CODE_SIDE = 8, 16, 32
"""What Ultralight sees of the sound: two codes for each of 8 frames, 1024 numbers each, laid out as a 32x32 picture."""

# (width, stride, residual convolutions after it) of the face encoder's strided stages, 96 -> 48 -> 24 -> 12 -> 6 -> 3.
FACE_STEM = 16
FACE_STAGES = ((32, 2, 2), (64, 2, 3), (128, 2, 2), (256, 2, 2), (512, 2, 1))
# The audio encoder: 80x16 -> 27x16 -> 9x6 -> 3x3.
AUDIO_STAGES = ((32, (1, 1), 2), (64, (3, 1), 2), (128, (3, 3), 2), (256, (3, 2), 1))
CODE = 512
# (width, residual convolutions) of the decoder's doubling stages, 3 -> 6 -> 12 -> 24 -> 48 -> 96.
DECODER_STAGES = ((512, 2), (384, 2), (256, 2), (128, 2), (64, 2))
OUT_WIDTH = 32


class Conv(nn.Module):
    """Convolution, batch norm, ReLU; ``residual`` adds the input before the ReLU, ``up`` transposes it."""

    def __init__(
        self,
        wide: tuple[int, int],
        size: int = 3,
        stride: int | tuple[int, int] = 1,
        pad: int = 1,
        residual: bool = False,
        up: bool = False,
    ) -> None:
        super().__init__()
        spare = 1 if up and stride == 2 else 0
        make = nn.ConvTranspose2d(*wide, size, stride, pad, spare) if up else nn.Conv2d(*wide, size, stride, pad)
        self.body = nn.Sequential(make, nn.BatchNorm2d(wide[1]))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.body(x)
        return torch.relu(made + x if self.residual else made)


def _same(width: int, count: int) -> list[nn.Module]:
    return [Conv((width, width), residual=True) for _ in range(count)]


def _close(width: int) -> list[nn.Module]:
    """3x3 -> 1x1, then a pointwise layer: the end of both encoders."""
    return [Conv((width, CODE), pad=0), Conv((CODE, CODE), size=1, pad=0)]


class Wav2Lip(nn.Module):
    """Face encoder with skips to every decoder stage, audio code at the bottom."""

    def __init__(self) -> None:
        super().__init__()
        width, widths = FACE_STEM, [FACE_STEM]
        face: list[nn.Module] = [Conv((6, FACE_STEM), size=7, pad=3)]
        for wide, stride, count in FACE_STAGES:
            face.append(nn.Sequential(Conv((width, wide), stride=stride), *_same(wide, count)))
            width = wide
            widths.append(wide)
        face.append(nn.Sequential(*_close(width)))
        self.face = nn.ModuleList(face)

        width, audio = 1, list[nn.Module]()
        for wide, step, count in AUDIO_STAGES:
            audio += [Conv((width, wide), stride=step), *_same(wide, count)]
            width = wide
        self.audio = nn.Sequential(*audio, *_close(width))

        skips = [*reversed(widths)]
        up: list[nn.Module] = [
            Conv((CODE, CODE), size=1, pad=0),
            nn.Sequential(Conv((CODE + CODE, CODE), pad=0, up=True), *_same(CODE, 1)),
        ]
        width = CODE
        for (wide, count), skip in zip(DECODER_STAGES, skips, strict=False):
            up.append(nn.Sequential(Conv((width + skip, wide), stride=2, up=True), *_same(wide, count)))
            width = wide
        self.up = nn.ModuleList(up)
        self.out = nn.Sequential(Conv((width + FACE_STEM, OUT_WIDTH)), nn.Conv2d(OUT_WIDTH, 3, 1), nn.Sigmoid())

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        """``mel [B, 1, 80, 16]``, ``face [B, 6, 96, 96]`` (masked frame and reference) -> ``[B, 3, 96, 96]``."""
        kept = []
        for stage in self.face:
            face = stage(face)
            kept.append(face)
        made = self.audio(mel)
        for stage in self.up:
            made = torch.cat([stage(made), kept.pop()], 1)
        image: Tensor = self.out(made)
        return image


ULTRALIGHT_WIDTHS = (32, 64, 128, 256, 512)
"""Channels of the U-Net at 160, 80, 40, 20 and 10 pixels."""
EXPANSION = 2


class Inverted(nn.Sequential):
    """Inverted residual: widen, filter each channel on its own, narrow; added to its input where shapes allow."""

    def __init__(self, width: int, wide: int, stride: int = 1) -> None:
        hidden = EXPANSION * width
        self.residual = width == wide and stride == 1
        super().__init__(
            *self._filter(width, hidden, 1), *self._filter(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, wide, 1, bias=False), nn.BatchNorm2d(wide),
        )  # fmt: skip

    @staticmethod
    def _filter(width: int, wide: int, size: int, stride: int = 1, groups: int = 1) -> tuple[nn.Module, ...]:
        conv = nn.Conv2d(width, wide, size, stride, size // 2, groups=groups, bias=False)
        return conv, nn.BatchNorm2d(wide), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = super().forward(x)
        return made + x if self.residual else made


class Plain(nn.Sequential):
    """Inverted residual without its shortcut, whatever the shapes."""

    def __init__(self, width: int, wide: int, stride: int = 1) -> None:
        first = Inverted(width, wide, stride)
        first.residual = False
        super().__init__(first)


def _pair(width: int, wide: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(Plain(width, wide, stride), Inverted(wide, wide))


class Ultralight(nn.Module):
    """U-Net of inverted residuals; the sound joins at the bottom."""

    def __init__(self) -> None:
        super().__init__()
        one, two, three, four, five = widths = ULTRALIGHT_WIDTHS
        self.enter = Plain(6, one)
        self.down = nn.ModuleList(_pair(a, b, 2) for a, b in zip(widths[:-1], widths[1:], strict=True))
        # 32x32 -> 16x16 -> 10x10: the wide padding brings the sound's picture to the size of the face's.
        self.audio = nn.Sequential(
            Plain(CODES, two), Plain(two, three),
            nn.Conv2d(three, four, 3, 2, 1), nn.BatchNorm2d(four), nn.ReLU(), Inverted(four, four),
            nn.Conv2d(four, five, 3, 2, 3), nn.BatchNorm2d(five), nn.ReLU(), Inverted(five, five), Inverted(five, five),
        )  # fmt: skip
        self.fuse = nn.Sequential(_pair(2 * five, five), _pair(five, four))
        self.up = nn.ModuleList(
            _pair(a, b) for a, b in ((five, four // 2), (four, three // 2), (three, one), (two, one))
        )
        self.out = nn.Conv2d(one, 3, 1)

    def forward(self, codes: Tensor, face: Tensor) -> Tensor:
        """``codes [B, 16, 32, 32]``, ``face [B, 6, 160, 160]`` -> ``[B, 3, 160, 160]``."""
        kept = [self.enter(face)]
        for stage in self.down:
            kept.append(stage(kept[-1]))
        x = self.fuse(torch.cat([kept.pop(), self.audio(codes)], 1))
        for stage in self.up:
            larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = stage(torch.cat([larger, kept.pop()], 1))
        return torch.sigmoid(self.out(x))
