"""Closure: what counts as closed, and what it costs to leave lips open there."""

from __future__ import annotations

import torch

from kouxing.arkit import PLACE
from kouxing.face.closure import CLOSED_DISTANCE, TYPICAL_DISTANCE, distance_weights, lip_distance
from kouxing.losses.closure import closure, closure_loss, coefficient_error, distance_error, shut_error

JAW, CLOSE = PLACE["jawOpen"], PLACE["mouthClose"]
ONE = torch.ones(1, 3)


def face(jaw: float, close: float) -> torch.Tensor:
    values = torch.zeros(1, 1, 52)
    values[..., JAW], values[..., CLOSE] = jaw, close
    return values


def test_closure_of_real_lips() -> None:
    apart = torch.ones(1, 1)
    assert closure(face(0.3, 0.0), apart) == 0
    assert closure(face(0.3, 0.3), apart) == 1
    assert 0 < closure(face(0.3, 0.27), apart) < 1
    # A still jaw has no ratio; the measured gap decides.
    assert closure(face(0.001, 0.001), apart) == 0
    assert closure(face(0.001, 0.0), torch.zeros(1, 1)) == 1
    assert 0 < closure(face(0.001, 0.0), torch.full((1, 1), 0.11)) < 1


def test_the_loss_falls_when_lips_close() -> None:
    weights = torch.from_numpy(distance_weights())
    kappa = torch.ones(1, 1)
    costs = [float(closure_loss(face(0.3, close) @ weights, kappa, kappa)) for close in (0.0, 0.1, 0.2, 0.3, 0.4)]
    assert costs == sorted(costs, reverse=True) and costs[0] > 0 and costs[3] < 1e-12 and costs[4] == 0
    assert closure_loss(face(0.3, 0.0) @ weights, 0 * kappa, kappa) == 0


def test_gradient_closes_lips() -> None:
    values = face(0.3, 0.1).requires_grad_()
    closure_loss(values @ torch.from_numpy(distance_weights()), torch.ones(1, 1), torch.ones(1, 1)).backward()
    assert values.grad is not None
    assert values.grad[0, 0, JAW] > 0 > values.grad[0, 0, CLOSE]


def test_distance_of_known_faces() -> None:
    assert lip_distance(face(0.4, 0.4).numpy()).item() == 0
    assert abs(lip_distance(face(0.4, 0.1).numpy()).item() - 0.3) < 1e-6
    assert 0 < CLOSED_DISTANCE < TYPICAL_DISTANCE / 5


def test_masked_and_unknown_channels_do_not_count() -> None:
    real, made = torch.zeros(1, 3, 52), torch.zeros(1, 3, 52)
    made[0, 2] = 1
    made[..., JAW] = 1
    mask, weight = torch.tensor([[1.0, 1.0, 0.0]]), torch.ones(1, 52)
    assert torch.isclose(coefficient_error(made, real, mask, weight), torch.tensor(1 / 52))
    weight[:, JAW] = 0
    assert coefficient_error(made, real, mask, weight) == 0


def test_small_gaps_weigh_more() -> None:
    narrow = distance_error(torch.tensor([[0.1]]), torch.tensor([[0.0]]), torch.ones(1, 1), 0.25)
    wide = distance_error(torch.tensor([[1.1]]), torch.tensor([[1.0]]), torch.ones(1, 1), 0.25)
    assert narrow > 2.5 * wide


def test_shut_error_is_least_for_the_truth() -> None:
    closed = torch.tensor([[1.0, 0.0, 1.0]])
    assert shut_error(closed, closed, ONE) < 1e-3 < shut_error(1 - closed, closed, ONE)
