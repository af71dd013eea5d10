"""The front for streams: in time, the same in pieces, blind to what is to come."""

from importlib.resources import as_file, files

import numpy as np
import pytest

from kouxing.audio.front import WIDTH, Front
from kouxing.audio.live_front import LOOK_AHEAD, LiveFront, between, needed
from kouxing.media.reader import load_sound
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME

rng = np.random.default_rng(0)
SOUND = rng.normal(0, 0.1, 150 * SAMPLES_PER_FRAME + 77).astype(np.float32)


@pytest.fixture(scope="module")
def front() -> LiveFront:
    return LiveFront(threads=1)


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 40])
def test_there_is_a_row_for_every_begun_video_frame(front: LiveFront, frames: int) -> None:
    for more in (0, 1):
        assert front.hear(SOUND[: frames * SAMPLES_PER_FRAME + more]).shape == (frames + more, WIDTH)


@pytest.mark.parametrize("piece", [160, 640, 7_777])
def test_pieces_give_what_the_whole_gives(front: LiveFront, piece: int) -> None:
    stream = front.stream()
    pieces = [stream.push(SOUND[first : first + piece]) for first in range(0, len(SOUND), piece)]
    np.testing.assert_allclose(np.concatenate([*pieces, stream.finish()]), front.hear(SOUND), atol=1e-4)


def test_a_row_comes_as_soon_as_it_may(front: LiveFront) -> None:
    stream = front.stream()
    assert len(stream.push(SOUND[: needed(10) - 1])) == 9
    assert len(stream.push(SOUND[needed(10) - 1 : needed(10)])) == 1
    assert front.look_ahead_ms == 1000 * LOOK_AHEAD / 16_000 <= 100


def test_what_is_to_come_changes_nothing(front: LiveFront) -> None:
    other = SOUND.copy()
    other[needed(60) :] = rng.normal(0, 0.3, len(SOUND) - needed(60))
    np.testing.assert_allclose(front.hear(other)[:60], front.hear(SOUND)[:60], atol=1e-4)
    other[needed(60) - 200 :] = 0
    assert np.abs(front.hear(other)[59] - front.hear(SOUND)[59]).max() > 1e-3


def test_memory_does_not_grow_with_the_sound(front: LiveFront) -> None:
    stream = front.stream()
    for _ in range(3):
        stream.push(SOUND)
    assert len(stream._samples) < 1_300 and len(stream._told) < 10


def test_rows_lie_where_the_front_of_files_has_them() -> None:
    # At every row the same delay between the middle of its video frame and the own frames that tell of it.
    lower, upper, share = between(np.arange(30))
    place = lower + share * (upper - lower)
    np.testing.assert_allclose(np.diff(place) * 384, SAMPLES_PER_FRAME, rtol=1e-5)
    assert (upper * 384 + 895 <= [needed(row + 1) for row in range(30)]).all()


def test_it_tells_what_the_front_of_files_tells(front: LiveFront) -> None:
    with as_file(files("kouxing") / "assets" / "demo-voice.flac") as path:
        spoken = load_sound(path, SAMPLE_HZ).samples
    whole, live = Front(threads=1).hear(spoken), front.hear(spoken)
    early, now, late = (
        np.corrcoef(np.roll(whole, shift, 0)[5:-5].ravel(), live[5:-5].ravel())[0, 1] for shift in (-1, 0, 1)
    )
    assert now > 0.7 and now > early + 0.05 and now > late + 0.05


def test_a_sample_that_is_no_number_is_silence(front: LiveFront) -> None:
    bad = SOUND.copy()
    bad[3_000:3_010] = (np.nan, np.inf) * 5
    bad[3_000] = -np.inf
    good = SOUND.copy()
    good[3_000:3_010] = 0
    np.testing.assert_array_equal(front.hear(bad), front.hear(good))
