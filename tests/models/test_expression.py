"""``expression``: chunks equal the whole, no look-ahead of its own, emotion and style count from their step on."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kouxing.arkit import EMOTIONS, PLACE
from kouxing.face.closure import CLOSED_DISTANCE, PER_CROP_PX, TYPICAL_DISTANCE, lip_distance
from kouxing.face.geometry import opening
from kouxing.models.expression import (
    STATISTICS,
    Closing,
    Expression,
    ExpressionDimensions,
    ExpressionStep,
    follow,
    heard_distance,
    listen,
    statistics,
)
from kouxing.models.speech import Ears, SpeechDimensions, SpeechEncoder
from kouxing.units import MELS_PER_FRAME

SIZE = ExpressionDimensions(heard=9, width=8, hidden=7, style=3, speakers=4)
EAR = SpeechDimensions(width=6, hidden=5, reach=2)
CLOSING = Closing(under=0.05, more=0.02)


def expression(**changes: int) -> Expression:
    torch.manual_seed(0)
    model = Expression(ExpressionDimensions(**{**SIZE.as_dict(), **changes})).eval()
    with torch.no_grad():
        for value in (*model.readout[2].parameters(), model.modulate.weight):
            value.copy_(torch.randn_like(value))
    return model


def control(steps: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, steps, len(EMOTIONS)).softmax(-1), torch.randn(batch, steps, SIZE.style).tanh()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
@torch.no_grad()
def test_chunks_equal_the_whole(lengths: list[int]) -> None:
    torch.manual_seed(1)
    encoder = SpeechEncoder(EAR).eval()
    model = expression(heard=EAR.width + EAR.hidden)
    step, steps, context = ExpressionStep(encoder, model, CLOSING), sum(lengths), EAR.context_rows
    mel = torch.randn(1, context + steps * MELS_PER_FRAME, EAR.bands)
    emotion, style = control(steps, 1)
    whole, *last = step(mel, emotion, style, encoder.initial_state(1), model.initial_state(1))
    ear, state, parts, at = encoder.initial_state(1), model.initial_state(1), [], 0
    for length in lengths:
        here = slice(at, at + length)
        chunk = mel[:, at * MELS_PER_FRAME : context + (at + length) * MELS_PER_FRAME]
        made, ear, state = step(chunk, emotion[:, here], style[:, here], ear, state)
        parts.append(made)
        at += length
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, last[1], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_future_beyond_the_encoders_look_ahead_leaves_the_past_alone() -> None:
    encoder, model = SpeechEncoder(EAR).eval(), expression(heard=EAR.width + EAR.hidden)
    step, steps, known, context = ExpressionStep(encoder, model, CLOSING), 16, 7, EAR.context_rows
    mel = torch.randn(1, context + steps * MELS_PER_FRAME, EAR.bands)
    emotion, style = control(steps, 1)
    states = encoder.initial_state(1), model.initial_state(1)
    before = step(mel, emotion, style, *states)[0]
    changed = mel.clone()
    changed[:, context + known * MELS_PER_FRAME :] += 5
    after = step(changed, emotion, style, *states)[0]
    torch.testing.assert_close(after[:, :known], before[:, :known])
    assert not torch.allclose(after[:, known], before[:, known])


@torch.no_grad()
def test_emotion_and_style_count_from_their_step_on() -> None:
    model, heard = expression(), torch.randn(2, 12, SIZE.heard)
    emotion, style = control(12)
    before, _, _ = model(heard, emotion, style, model.initial_state(2))
    for place, given_ in enumerate((emotion, style)):
        changed = given_.clone()
        changed[:, 5:] = changed[:, 5:].flip(-1)
        inputs = [emotion, style]
        inputs[place] = changed
        after, _, _ = model(heard, *inputs, model.initial_state(2))
        torch.testing.assert_close(after[:, :5], before[:, :5])
        assert not torch.allclose(after[:, 5], before[:, 5])


def test_every_parameter_learns() -> None:
    model = expression().train()
    style = (model.style.known(torch.tensor([0, 1])) + model.style.read(torch.rand(2, STATISTICS)))[:, None]
    emotion, _ = control(6)
    values, shut, _ = model(torch.randn(2, 6, SIZE.heard), emotion, style.expand(-1, 6, -1), model.initial_state(2))
    (values.square().sum() + shut.sum()).backward()
    idle = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.abs().max() > 0]
    assert not idle


def test_the_ablation_changes_the_graph() -> None:
    encoder = SpeechEncoder(EAR).eval()
    mel = torch.randn(1, EAR.context_rows + 8 * MELS_PER_FRAME, EAR.bands)
    emotion, style = control(8, 1)
    made = []
    for shuts in (True, False):
        model = expression(heard=EAR.width + EAR.hidden, shuts=shuts)
        with torch.no_grad():
            model.readout[2].bias[-1] = 9.0
            states = encoder.initial_state(1), model.initial_state(1)
            made.append(ExpressionStep(encoder, model, CLOSING)(mel, emotion, style, *states)[0])
    assert not torch.allclose(*made)


def test_statistics_leave_the_resting_face_out() -> None:
    values = torch.rand(40, 52) * 0.5
    told = statistics(values)
    assert told.shape == (STATISTICS,)
    torch.testing.assert_close(statistics(values + 0.3), told, atol=1e-6, rtol=1e-5)
    assert (statistics(1.5 * values)[52:] > told[52:]).all()


@torch.no_grad()
def test_several_ears_lie_side_by_side() -> None:
    torch.manual_seed(2)
    members = [SpeechEncoder(EAR).eval() for _ in range(2)]
    ears = Ears(members)
    mel = torch.randn(1, EAR.context_rows + 5 * MELS_PER_FRAME, EAR.bands)
    heard, state = listen(ears, mel, ears.initial_state(1))
    for place, member in enumerate(members):
        own, last = listen(member, mel, member.initial_state(1))
        width = own.shape[-1]
        torch.testing.assert_close(heard[..., place * width : (place + 1) * width], own)
        torch.testing.assert_close(state[place * EAR.layers : (place + 1) * EAR.layers], last)


@torch.no_grad()
def test_the_encoders_own_opening_is_what_its_features_say() -> None:
    torch.manual_seed(3)
    members = [SpeechEncoder(SpeechDimensions(width=6, hidden=5, reach=2, features=16)).eval() for _ in range(2)]
    ears = Ears(members)
    mel = torch.randn(1, EAR.context_rows + 5 * MELS_PER_FRAME, EAR.bands)
    heard, _ = listen(ears, mel, ears.initial_state(1))
    features, _ = ears(mel, ears.initial_state(1))
    wanted = torch.from_numpy(opening(features.numpy()) * PER_CROP_PX)
    torch.testing.assert_close(heard_distance(ears, heard), wanted, atol=1e-5, rtol=1e-4)


def test_lips_follow_another_distance_and_nothing_else_moves() -> None:
    torch.manual_seed(4)
    values = torch.rand(3, 7, 52) * 0.4
    wanted = torch.rand(3, 7) * 0.3
    whole = follow(values, wanted, torch.ones(3, 7))
    torch.testing.assert_close(torch.from_numpy(lip_distance(whole.numpy())), wanted, atol=1e-5, rtol=1e-5)
    others = [place for name, place in PLACE.items() if name not in ("jawOpen", "mouthClose")]
    assert torch.equal(whole[..., others], values[..., others])
    assert torch.equal(follow(values, wanted, torch.zeros(3, 7)), values)
    before, half = (
        torch.from_numpy(lip_distance(v.numpy())) for v in (values, follow(values, wanted, torch.full((3, 7), 0.5)))
    )
    torch.testing.assert_close(half, (before + wanted) / 2, atol=1e-5, rtol=1e-5)


def test_what_the_jaw_cannot_close_the_lips_do() -> None:
    values = torch.zeros(1, 52)
    values[0, [PLACE["mouthUpperUpLeft"], PLACE["mouthUpperUpRight"]]] = 1.0
    shut = follow(values, torch.zeros(1), torch.ones(1))
    assert shut[0, PLACE["jawOpen"]] == 0 and shut[0, PLACE["mouthClose"]] > 0.3
    assert abs(float(lip_distance(shut.numpy())[0])) < 1e-5


def test_small_distances_become_closed_ones_and_their_order_stays() -> None:
    distance = torch.linspace(-0.05, 0.4, 400)
    even = torch.full((400,), 0.5)
    made = CLOSING.distance(distance, even)
    assert (made.diff() > 0).all() and made.diff().max() < 4 * float(distance.diff().max())
    assert ((made < CLOSED_DISTANCE) == (distance < CLOSING.under)).all()
    # Pressed and wide open lips stay as they are.
    kept = (distance <= 0) | (distance >= TYPICAL_DISTANCE)
    torch.testing.assert_close(made[kept], distance[kept])
    sure, unlikely = CLOSING.distance(distance, torch.ones(400)), CLOSING.distance(distance, torch.zeros(400))
    assert ((sure < CLOSED_DISTANCE) == (distance < 0.07)).all()
    # Never under what counts as closed.
    assert ((unlikely < CLOSED_DISTANCE) == (distance < CLOSED_DISTANCE)).all()
