"""Losses on pictures. All take ``[N, 3, H, W]`` in 0..1 and a weight map ``[N, 1, H, W]`` that says what counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Features = Callable[[Tensor], Sequence[Tensor]]


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of ``values [N, C, H, W]`` by ``weight [N, 1, H, W]``."""
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp(min=1e-6)


def reconstruction(made: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference (methods.md section 4, L_rec)."""
    return weighted_mean((made - real).abs(), weight)


def squared(made: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Mean squared difference: large misses count for more, as in PSNR."""
    return weighted_mean((made - real).square(), weight)


def _slopes(x: Tensor) -> Tensor:
    """Horizontal and vertical differences ``[N, 2C, H - 1, W - 1]``."""
    return torch.cat([x[:, :, 1:, 1:] - x[:, :, 1:, :-1], x[:, :, 1:, 1:] - x[:, :, :-1, 1:]], 1)


def gradient(made: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Difference of image gradients: edges where they belong."""
    return weighted_mean((_slopes(made) - _slopes(real)).abs(), weight[:, :, 1:, 1:])


def _finest(x: Tensor) -> Tensor:
    """Laplacian of the brightness ``[N, 1, H - 2, W - 2]``."""
    grey = x.mean(1, keepdim=True)
    around = grey[:, :, :-2, 1:-1] + grey[:, :, 2:, 1:-1] + grey[:, :, 1:-1, :-2] + grey[:, :, 1:-1, 2:]
    return around - 4 * grey[:, :, 1:-1, 1:-1]


def finest(made: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Difference of the finest detail, place by place: for a picture that can be painted exactly."""
    return weighted_mean((_finest(made) - _finest(real)).abs(), weight[:, :, 1:-1, 1:-1])


def texture(made: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Difference of local energy, of slopes and of the finest detail: as much as there really is, wherever exactly.

    Slopes alone are satisfied by strong edges over smooth skin; the Laplacian's root mean square is not.
    """
    total = made.new_zeros(())
    for ours, theirs in (
        (F.avg_pool2d(_slopes(x).abs(), 9, 4) for x in (made, real)),
        (F.avg_pool2d(_finest(x).square(), 9, 4).add(1e-6).sqrt() for x in (made, real)),
    ):
        total = total + weighted_mean((ours - theirs).abs(), F.interpolate(weight, ours.shape[2:], mode="area"))
    return total


def frame_difference(made: Tensor, real: Tensor, weight: Tensor, run: int) -> Tensor:
    """Difference of what changes from frame to frame, samples in runs of ``run`` frames: against flicker."""
    if run < 2:
        return made.new_zeros(())
    steps = [x.reshape(-1, run, *x.shape[1:]).diff(dim=1).flatten(0, 1) for x in (made, real)]
    later = weight.reshape(-1, run, *weight.shape[1:])[:, 1:].flatten(0, 1)
    return weighted_mean((steps[0] - steps[1]).abs(), later)


def indecision(trust: Tensor, weight: Tensor) -> Tensor:
    """Entropy of the choice between references, 0 (one) .. 1 (all alike): a mean of several faces is a blur.

    Args:
        trust: ``[N, R, h, w]``, adding up to 1 over R.
        weight: ``[N, 1, h, w]``.
    """
    entropy = -(trust * trust.clamp(min=1e-6).log()).sum(1, keepdim=True) / math.log(trust.shape[1])
    return weighted_mean(entropy, weight)


def misplaced(flow: Tensor, places: Tensor) -> Tensor:
    """How far warps miss tracked points: mean absolute difference in halves of the crop.

    Args:
        flow: ``[N, 2 * R, h, w]``, for the lower half of the crop.
        places: ``[N, R, P, 4]``: points in the frame (x, y), 0 in the crop's middle, and in each reference. Those above
            the lower half do not count.
    """
    count, references, points, _ = places.shape
    places = places.reshape(count * references, points, 4)
    here, there = places[..., :2], places[..., 2:]
    grid = torch.stack([here[..., 0], 2 * here[..., 1] - 1], -1)[:, None]
    found = F.grid_sample(flow.reshape(-1, 2, *flow.shape[2:]), grid, padding_mode="border", align_corners=False)
    missed = (found[:, :, 0].transpose(1, 2) - (there - here)).abs().mean(-1)
    counts = (here[..., 1] > 0).to(missed.dtype)
    return (missed * counts).sum() / counts.sum().clamp(min=1)


def feature_difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """Mean over layers of the mean absolute difference of feature maps (each layer counts alike, whatever its size)."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(ours, theirs, strict=True)]).mean()


def perceptual(made: Tensor, real: Tensor, features: Features, scales: Sequence[int] = (1, 2, 4)) -> Tensor:
    """Feature difference at scales 1, 1/2, 1/4 (methods.md section 4, L_perc).

    ``features`` maps pictures to feature maps.
    """
    total = made.new_zeros(())
    for scale in scales:
        ours, theirs = (F.avg_pool2d(x, scale) if scale > 1 else x for x in (made, real))
        with torch.no_grad():
            goal = features(theirs)
        total = total + feature_difference(features(ours), goal)
    return total / len(scales)


VGG19 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
"""Channels of VGG-19's 3x3 convolutions, 0 for 2x2 max pooling (Simonyan & Zisserman 2015, table 1, column E)."""


class Vgg19(nn.Module):
    """VGG-19's feature maps after the first ReLU of each of its five stages, for users who have its weights.

    Layer numbers in the state dict (``features.0.weight`` …) are those of the common public files.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, fresh = 3, True
        self.taps: list[int] = []
        for item in VGG19:
            if item == 0:
                layers.append(nn.MaxPool2d(2))
                fresh = True
                continue
            layers += [nn.Conv2d(channels, item // width, 3, padding=1), nn.ReLU()]
            channels = item // width
            if fresh:
                self.taps.append(len(layers) - 1)
                fresh = False
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Pictures ``[N, 3, H, W]``, 0..1 -> five maps."""
        x = (x - self.mean) / self.spread
        maps = []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in self.taps:
                maps.append(x)
            if place == self.taps[-1]:
                break
        return maps
