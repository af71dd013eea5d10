"""Sync losses: true pairs above false ones by the margin, masked rows silent, near ones left out."""

from __future__ import annotations

import math

import pytest
import torch

from kouxing.losses.sync import Falses, expert_loss, lag_loss, margin_loss, sync_loss
from kouxing.models.sync import Discriminator, SyncDimensions

PLAIN = Falses(nearest=1, full=1, foreign=0.0)


def one_hot(batch: int, steps: int) -> torch.Tensor:
    return torch.eye(steps)[None].repeat(batch, 1, 1)


def test_perfect_vectors_cost_little_and_equal_ones_chance() -> None:
    rows, mask = one_hot(1, 8), torch.ones(1, 8)
    assert margin_loss(rows, rows, mask, 50.0, 0.0, PLAIN) < 1e-3
    same = torch.ones(1, 8, 4) / 2
    assert margin_loss(same, same, mask, 50.0, 0.0, PLAIN).item() == pytest.approx(math.log(8), abs=1e-4)


def test_the_margin_is_what_true_pairs_must_lead_by() -> None:
    rows, mask = one_hot(1, 6), torch.ones(1, 6)
    # True pairs lead by 1: a margin below that costs nothing, one of 1.2 costs about scale * 0.2.
    assert margin_loss(rows, rows, mask, 100.0, 0.9, PLAIN) < 1e-2
    cost = margin_loss(rows, rows, mask, 100.0, 1.2, PLAIN).item()
    assert cost == pytest.approx(100 * 0.2 + math.log(5), abs=1e-2)
    # Nearer pairs want their share of it only: at 1 of 4 frames a quarter.
    graded = margin_loss(rows, rows, mask, 100.0, 1.2, Falses(nearest=1, full=4, foreign=0.0)).item()
    assert graded < cost


def test_near_pairs_and_masked_rows_do_not_count() -> None:
    torch.manual_seed(0)
    mouth, speech = (torch.nn.functional.normalize(torch.randn(2, 10, 6), dim=-1) for _ in range(2))
    mask = torch.ones(2, 10)
    mask[:, 7:] = 0
    falses = Falses(nearest=3, full=3, foreign=0.3)
    before = margin_loss(mouth, speech, mask, 10.0, 0.2, falses)
    changed, heard = mouth.clone(), speech.clone()
    changed[:, 7:], heard[:, 7:] = 1.0, -1.0
    assert margin_loss(changed, heard, mask, 10.0, 0.2, falses).item() == pytest.approx(before.item())
    # Speech that is nowhere farther than two frames from its mouths is never false; foreign ones still are.
    assert margin_loss(mouth[:, :3], speech[:, :3], mask[:, :3], 10.0, 0.2, Falses(3, 3, 0.0)).item() == pytest.approx(
        0
    )
    assert margin_loss(mouth[:, :3], speech[:, :3], mask[:, :3], 10.0, 0.2, falses).item() > 0
    assert margin_loss(mouth, speech, torch.zeros(2, 10), 10.0, 0.2, falses).item() == 0


def test_lag_loss_points_at_zero() -> None:
    torch.manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(3, 24, 32), dim=-1)
    mask = torch.ones(3, 24)
    right = lag_loss(rows, rows, mask, 50.0, 8, 2)
    late = lag_loss(rows[:, :-4], rows[:, 4:], mask[:, 4:], 50.0, 8, 2)
    assert right < 0.1 < 5 < late


def test_frozen_judge_loss() -> None:
    a = torch.nn.functional.normalize(torch.randn(5, 8), dim=-1)
    assert sync_loss(a, a, torch.ones(5)) < 1e-3 < 5 < sync_loss(a, -a, torch.ones(5))
    assert torch.isfinite(sync_loss(a, -a, torch.ones(5)))


def test_a_painter_learns_from_the_frozen_judge() -> None:
    torch.manual_seed(0)
    judge = Discriminator(SyncDimensions(channels=(4, 6, 8, 8), heard=12, hidden=10, features=8))
    judge.requires_grad_(False).eval()
    crops, mel = torch.rand(1, 7, 3, 256, 256, requires_grad=True), torch.randn(1, 4 * (7 + 6), 80)
    loss = expert_loss(judge, crops, mel)
    loss.backward()
    assert crops.grad is not None and torch.isfinite(crops.grad).all()
    # Only what the judge sees is asked to change.
    assert crops.grad[..., 120:216, 64:192].abs().max() > 0
    assert crops.grad[..., :120, :].abs().max() == 0 and crops.grad[..., :64].abs().max() == 0
    better = crops.detach() - 0.5 * crops.grad / crops.grad.abs().max()
    assert expert_loss(judge, better, mel) < loss
    assert all(p.grad is None for p in judge.parameters())
    # Sound further around is not heard; less than a window of it is a mistake.
    further = torch.cat([torch.randn(1, 8, 80), mel, torch.randn(1, 8, 80)], 1)
    torch.testing.assert_close(expert_loss(judge, better, further), expert_loss(judge, better, mel))
    with pytest.raises(ValueError, match="rows of sound"):
        expert_loss(judge, better, mel[:, 4:-4])
