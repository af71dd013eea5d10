"""Critics and their losses: they learn to tell made from real, and lead the made towards the real."""

from __future__ import annotations

import math

import pytest
import torch

from kouxing.losses import adversarial
from kouxing.models.critics import BOTTOM, LEFT, RIGHT, TOP, Critics, frozen


def pictures(seed: int, rough: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (0.5 + rough * torch.randn(4, 3, 128, 256, generator=generator)).clamp(0, 1)


def test_pairs_count_not_the_level_of_a_picture() -> None:
    know_nothing = [torch.zeros(2, 1, 4, 4)]
    assert float(adversarial.critic_loss(know_nothing, know_nothing)) == pytest.approx(math.log(2))
    # Two cameras: what is real in one is less than what is made in the other.
    real, made = [torch.tensor([0.0, 50.0])], [torch.tensor([-20.0, 30.0])]
    assert adversarial.critic_loss(real, made) < 1e-6
    assert float(adversarial.generator_loss(real, made)) == pytest.approx(20)


def test_critics_look_at_the_mouths_surroundings_at_several_scales() -> None:
    torch.manual_seed(0)
    critics = Critics(widths=(4, 8)).eval()
    real = pictures(0, 0.2)
    said = critics(real)
    assert len(said) == 2 and said[0].shape[-1] == 2 * said[1].shape[-1]
    outside = real.clone()
    outside[:, :, BOTTOM:], outside[:, :, :, :LEFT], outside[:, :, :, RIGHT:] = 0, 0, 0
    assert all((a == b).all() for a, b in zip(critics(outside), said, strict=True))
    inside = real.clone()
    inside[:, :, TOP : TOP + 20, 100:120] = 0
    assert all((a != b).any() for a, b in zip(critics(inside), said, strict=True))


def test_frozen_critics_give_gradients_to_pictures_only() -> None:
    torch.manual_seed(0)
    critics = Critics(widths=(4, 8)).train()
    made = pictures(1, 0.05).requires_grad_(True)
    real = critics(pictures(2, 0.2))
    adversarial.generator_loss(real, frozen(critics, made)).backward()
    assert made.grad is not None and made.grad.abs().sum() > 0 and critics.training
    assert all(parameter.grad is None for parameter in critics.parameters())


def test_they_learn_what_blur_is() -> None:
    torch.manual_seed(0)
    critics = Critics(widths=(4, 8)).train()
    optimiser = torch.optim.Adam(critics.parameters(), 5e-3)
    for step in range(25):
        loss = adversarial.critic_loss(critics(pictures(step, 0.25)), critics(pictures(step + 100, 0.05)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.4
    real, made = critics(pictures(501, 0.25)), pictures(500, 0.05)
    sharper = 0.5 + 4 * (made - 0.5)
    blamed = [float(adversarial.generator_loss(real, frozen(critics, one))) for one in (made, sharper)]
    assert blamed[1] < blamed[0] - 0.5
