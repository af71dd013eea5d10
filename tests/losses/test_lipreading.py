"""What a frozen lip reader says of painted mouths."""

from __future__ import annotations

import torch
from torch import Tensor

from kouxing.losses.lipreading import feature_loss
from kouxing.models.lipreader import LipReader, LipReaderDimensions


def mouths(frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, frames, 3, 256, 256, generator=generator)


def reader() -> LipReader:
    torch.manual_seed(0)
    return LipReader(LipReaderDimensions(5, (4, 8, 8, 8), 16, 12)).eval().requires_grad_(False)


def test_alike_is_nothing_and_the_more_unlike_the_more() -> None:
    real, one = mouths(6), reader()
    assert float(feature_loss(one, real, real)) == 0
    near, far = real.clone(), real.clone()
    near[..., 180:200, :] *= 0.9
    far[..., 180:200, :] *= 0.3
    assert 0 < feature_loss(one, near, real) < feature_loss(one, far, real)


def test_gradients_reach_the_painted_mouths_alone() -> None:
    made, real = mouths(6).requires_grad_(), mouths(6).flip(1).requires_grad_()
    one = reader()
    feature_loss(one, made, real).backward()
    assert made.grad is not None and made.grad.abs().sum() > 0 and real.grad is None
    assert all(weight.grad is None for weight in one.parameters())


def test_what_lies_outside_the_mouth_is_not_looked_at() -> None:
    real, one = mouths(5), reader()
    made = real.clone()
    made[..., :60, :] = 0
    assert float(feature_loss(one, made, real)) == 0
