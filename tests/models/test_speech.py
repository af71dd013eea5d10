"""Speech encoder: chunks equal the whole, and nothing beyond the declared look-ahead changes the past."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kouxing.models.speech import SpeechDimensions, SpeechEncoder
from kouxing.units import MELS_PER_FRAME

SIZE = SpeechDimensions(width=12, hidden=10, reach=3, earlier=5)


def encoder() -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder(SIZE).eval()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
@torch.no_grad()
def test_chunks_equal_the_whole(lengths: list[int]) -> None:
    model, frames, context = encoder(), sum(lengths), SIZE.context_rows
    mel = torch.randn(2, context + frames * MELS_PER_FRAME, SIZE.bands)
    whole, last = model(mel, model.initial_state(2))
    assert whole.shape == (2, frames, SIZE.features)
    state, parts, at = model.initial_state(2), [], 0
    for length in lengths:
        chunk = mel[:, at : at + context + length * MELS_PER_FRAME]
        made, state = model(chunk, state)
        parts.append(made)
        at += length * MELS_PER_FRAME
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_future_beyond_the_look_ahead_leaves_the_past_alone() -> None:
    model, frames = encoder(), 20
    mel = torch.randn(1, SIZE.context_rows + frames * MELS_PER_FRAME, SIZE.bands)
    before, _ = model(mel, model.initial_state(1))
    known = 10
    changed = mel.clone()
    # Frame t lies before_rows into the input; it may look after_rows further.
    changed[:, SIZE.before_rows + known * MELS_PER_FRAME + SIZE.after_rows :] += 5
    after, _ = model(changed, model.initial_state(1))
    torch.testing.assert_close(after[:, :known], before[:, :known])
    assert not torch.allclose(after[:, known:], before[:, known:])
