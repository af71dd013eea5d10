"""Losses on motion: what they punish, what they forgive."""

from __future__ import annotations

import torch

from kouxing.losses.motion import closure_loss, correlation_loss, geometry_error, masked_mean, velocity_error

ONE = torch.ones(2, 6)


def test_masked_steps_do_not_count() -> None:
    values = torch.arange(12.0).reshape(2, 6)
    mask = torch.zeros(2, 6)
    mask[0, :2] = 1
    assert masked_mean(values, mask) == 0.5
    assert masked_mean(values, torch.zeros(2, 6)) == 0


def test_geometry_and_velocity() -> None:
    real = torch.randn(2, 6, 4)
    scale = torch.tensor([1.0, 1.0, 0.0, 0.0])
    shifted = real + torch.tensor([1.0, 0.0, 9.0, 9.0])
    assert torch.isclose(geometry_error(shifted, real, ONE, scale), torch.tensor(0.25))
    assert velocity_error(shifted, real, ONE, scale) < 1e-10


def test_correlation_forgives_scale_and_offset_not_direction() -> None:
    curve = torch.randn(2, 6)
    assert correlation_loss(3 * curve + 2, curve, ONE) < 1e-5
    assert torch.isclose(correlation_loss(-curve, curve, ONE), torch.tensor(2.0), atol=1e-5)
    assert torch.isfinite(correlation_loss(torch.zeros(2, 6), curve, ONE))


def test_closure_costs_only_opening_where_lips_are_closed() -> None:
    closed = torch.zeros(2, 6)
    closed[:, 3] = 1
    opening = torch.full((2, 6), 2.0)
    assert torch.isclose(closure_loss(opening, closed, ONE), torch.tensor(4.0 / 6))
    assert closure_loss(-opening, closed, ONE) == 0
    opening[:, 3] = 0
    assert closure_loss(opening, closed, ONE) == 0
