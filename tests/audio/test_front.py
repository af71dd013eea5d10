"""The front: however sound is cut into pieces, it hears the same."""

import numpy as np
import pytest

from kouxing.audio.front import HOP_FRAMES, MARGIN_FRAMES, WIDTH, Front, pooled
from kouxing.units import SAMPLES_PER_FRAME

rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def front() -> Front:
    return Front(threads=1)


def spoken(frames: int, more: int = 0) -> np.ndarray:
    return rng.normal(0, 0.1, frames * SAMPLES_PER_FRAME + more).astype(np.float32)


@pytest.mark.parametrize("frames", [0, 1, 30, HOP_FRAMES + MARGIN_FRAMES, 2 * HOP_FRAMES + MARGIN_FRAMES + 3])
def test_there_is_a_row_for_every_begun_video_frame(front: Front, frames: int) -> None:
    for more in (0, 1):
        assert front.hear(spoken(frames, more)).shape == (frames + more, WIDTH)


def test_pieces_give_what_the_whole_gives(front: Front) -> None:
    sound = spoken(2 * HOP_FRAMES + 60, 123)
    stream = front.stream()
    pieces = [stream.push(sound[first : first + 7_777]) for first in range(0, len(sound), 7_777)]
    np.testing.assert_array_equal(np.concatenate([*pieces, stream.finish()]), front.hear(sound))


def test_memory_does_not_grow_with_the_sound(front: Front) -> None:
    stream = front.stream()
    for _ in range(3):
        stream.push(spoken(HOP_FRAMES))
    assert len(stream._held) <= (HOP_FRAMES + 2 * MARGIN_FRAMES) * SAMPLES_PER_FRAME


def test_windows_meet_without_a_step(front: Front) -> None:
    # A row that the first window gave last and one that knew all of what follows agree by far more than neighbours do.
    sound = spoken(HOP_FRAMES + MARGIN_FRAMES + 100)
    shorter = front.hear(sound[: (HOP_FRAMES + MARGIN_FRAMES) * SAMPLES_PER_FRAME])
    longer = front.hear(sound)
    near = slice(HOP_FRAMES - 10, HOP_FRAMES + 10)
    assert np.corrcoef(shorter[near].ravel(), longer[near].ravel())[0, 1] > 0.9


def test_quiet_is_heard_as_something_finite(front: Front) -> None:
    assert np.isfinite(front.hear(np.zeros(20_000, np.float32))).all()


def test_rows_lie_about_the_middle_of_their_video_frame() -> None:
    weights = pooled(200, 100)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    middles = weights @ ((np.arange(200) + 0.5) * 384)
    np.testing.assert_allclose(middles[2:], (np.arange(2, 100) + 0.5) * SAMPLES_PER_FRAME, atol=96)
