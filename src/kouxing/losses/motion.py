"""Losses on mouth motion: geometry error, velocity, correlation of the opening, lips that really close."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values [B, T, ...]`` over the steps where ``mask [B, T]`` is 1."""
    weight = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim)).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def geometry_error(predicted: Tensor, real: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
    """Mean squared landmark displacement, features ``[B, T, D]`` weighed by ``scale [D]`` (relative pixels)."""
    return masked_mean((predicted - real).square() * scale.square(), mask)


def velocity_error(predicted: Tensor, real: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
    """The same for the difference between neighbouring steps."""
    both = mask[:, 1:] * mask[:, :-1]
    return masked_mean((predicted.diff(dim=1) - real.diff(dim=1)).square() * scale.square(), both)


def correlation_loss(predicted: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """1 - Pearson correlation of two curves ``[B, T]`` per sample: indifferent to how wide a person opens the mouth."""
    count = mask.sum(1, keepdim=True).clamp(min=1.0)
    a = (predicted - (predicted * mask).sum(1, keepdim=True) / count) * mask
    b = (real - (real * mask).sum(1, keepdim=True) / count) * mask
    power = (a.square().sum(1) * b.square().sum(1)).clamp(min=1e-8).sqrt()
    return (1.0 - (a * b).sum(1) / power).mean()


def closure_loss(opening: Tensor, closed: Tensor, mask: Tensor) -> Tensor:
    """Where the real lips are closed, predicted opening costs (methods.md section 2, second loss).

    Args:
        opening: ``[B, T]`` predicted inner-lip opening, signed.
        closed: ``[B, T]`` kappa, 0 (open) .. 1 (fully closed).
        mask: ``[B, T]``.
    """
    return masked_mean(closed * torch.relu(opening).square(), mask)
