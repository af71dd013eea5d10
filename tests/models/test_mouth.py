"""``mouth``: streamed steps equal the whole, the future beyond the look-ahead does not matter, every part learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kouxing.arkit import MOUTH, PLACE
from kouxing.face.closure import lip_distance
from kouxing.models.mouth import Mouth, MouthDimensions, MouthStep, inverse_transform, shut_lips, to_coefficients
from kouxing.units import MELS_PER_FRAME

SIZE = MouthDimensions(narrow=4, wide=6, features=8, hidden=10, attention=6, past=7, ahead=1)
GATE = (0.4, 0.6)


def mouth(**changes: object) -> Mouth:
    torch.manual_seed(0)
    model = Mouth(replace(SIZE, **changes)).eval()
    # A network at its start hardly reacts to anything: pull the readout and the normalisations away from it.
    with torch.no_grad():
        for value in model.readout[2].parameters():
            value.copy_(torch.randn_like(value))
    return model


def sound(size: MouthDimensions, steps: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, size.before_mels + steps * MELS_PER_FRAME + size.after_mels, size.bands)


@pytest.mark.parametrize("changes", [{}, {"ahead": 0}, {"ahead": 2}, {"attends": False}, {"compares": False}])
@torch.no_grad()
def test_steps_equal_the_whole(changes: dict[str, object]) -> None:
    model, steps = mouth(**changes), 17
    size = model.dimensions
    mel = sound(size, steps)
    parameters, weights = model.explained(mel)
    wanted = shut_lips(to_coefficients(parameters, model.columns), parameters[..., -1], *GATE)[0]
    step = MouthStep(model, GATE)
    state = fresh = step.initial_state()
    made, alphas = [], []
    for number in range(-size.ahead, steps):
        first = (number + size.ahead) * MELS_PER_FRAME
        values, alpha, *following = step(mel[:, first : first + size.window_mels], *state)
        state = tuple(following)
        if number < 0:
            state = (*state[:2], *fresh[2:])
        else:
            made.append(values[0])
            alphas.append(alpha[0])
    torch.testing.assert_close(torch.stack(made), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.stack(alphas), weights[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ahead", [0, 1, 2])
@torch.no_grad()
def test_the_future_beyond_the_look_ahead_leaves_the_past_alone(ahead: int) -> None:
    model, steps, known = mouth(ahead=ahead), 20, 10
    size = model.dimensions
    mel = sound(size, steps)
    before = model(mel)
    changed = mel.clone()
    # Row t may know of mel frames up to 4 t + reach.
    changed[:, size.before_mels + (known - 1) * MELS_PER_FRAME + size.reach + 1 :] += 5
    after = model(changed)
    torch.testing.assert_close(after[:, :known], before[:, :known])
    assert not torch.allclose(after[:, known], before[:, known])


@torch.no_grad()
def test_memory_is_bounded() -> None:
    model = mouth()
    mel = sound(model.dimensions, 30)
    _, weights = model.explained(mel)
    assert weights.shape == (1, 30, model.dimensions.span)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 30))
    # Before the beginning there is nothing to attend to, nor beyond the end.
    assert weights[0, 0, : SIZE.past].abs().max() == 0 and weights[0, 0, SIZE.past :].min() > 0


def test_every_parameter_learns() -> None:
    model = mouth().train()
    model(sound(SIZE, 12, 2)).square().sum().backward()
    idle = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.abs().max() > 0]
    # Convolutions before a batch normalisation learn all but their bias, which the mean takes out.
    assert not [name for name in idle if name not in ("front.first.bias", "front.second.bias")], idle


def test_ablations_leave_parts_out() -> None:
    mel = sound(SIZE, 12)
    with torch.no_grad():
        whole, alone, still = mouth()(mel), mouth(attends=False)(mel), mouth(compares=False)(mel)
    assert not torch.allclose(whole, alone) and not torch.allclose(whole, still)
    for changes, idle in (({"attends": False}, "key.weight"), ({"compares": False}, "project.weight")):
        model = mouth(**changes)
        model(mel).sum().backward()
        assert dict(model.named_parameters())[idle].grad is None


@torch.no_grad()
def test_parameters_stay_in_range_and_sit_at_their_names() -> None:
    model = mouth()
    parameters = model(10 * sound(SIZE, 40))
    assert parameters.shape == (1, 40, len(MOUTH) + 1) and parameters.min() >= 0 and parameters.max() <= 1
    values = to_coefficients(parameters, model.columns)
    for place, name in enumerate(MOUTH):
        assert torch.equal(values[..., PLACE[name]], parameters[..., place])
    assert values[..., PLACE["browInnerUp"]].abs().max() == 0


def test_lips_that_touch_have_no_distance() -> None:
    values = torch.zeros(3, 52)
    values[:, PLACE["jawOpen"]] = 0.3
    values[:, PLACE["mouthUpperUpLeft"]] = 0.2
    made = shut_lips(values, torch.tensor([0.1, 0.5, 0.9]), 0.4, 0.6)
    distance = torch.from_numpy(lip_distance(made.numpy()))
    whole = 0.3 + 0.2 * 0.17
    torch.testing.assert_close(distance, torch.tensor([whole, whole / 2, 0.0]), atol=1e-6, rtol=0)
    # Pressed lips are not opened.
    pressed = torch.zeros(1, 52)
    pressed[:, PLACE["mouthPressLeft"]] = 0.5
    assert torch.equal(shut_lips(pressed, torch.ones(1), 0.4, 0.6), pressed)


def test_inverse_transform_is_irfft() -> None:
    half = torch.randn(3, 5, dtype=torch.complex64)
    wanted = torch.fft.irfft(half, n=8, norm="ortho")
    made = torch.cat([half.real, half.imag], -1) @ inverse_transform(8)
    torch.testing.assert_close(made, wanted, atol=1e-6, rtol=1e-5)
