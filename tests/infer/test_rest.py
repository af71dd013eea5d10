"""Silence shuts the lips of a stream: in time, whatever the chunks, and only where nobody is heard."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kouxing.arkit import PLACE
from kouxing.face.closure import CLOSED_DISTANCE, lip_distance
from kouxing.infer.rest import MEL_LIMITS, MEMORY, SHORTEST, Rest, nearer
from kouxing.types import Float
from kouxing.units import SAMPLES_PER_FRAME

AHEAD = 5


def rows(count: int, distance: float) -> Float:
    made = np.zeros((count, 52), np.float32)
    made[:, PLACE["jawOpen"]] = distance
    made[:, PLACE["mouthSmileLeft"]] = 0.4
    return made


def speech(frames: int, pauses: list[tuple[int, int]], hum: float = 0.0) -> Float:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, frames * SAMPLES_PER_FRAME).astype(np.float32)
    for first, last in pauses:
        samples[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME] *= 0
    return samples + rng.normal(0, hum, len(samples)).astype(np.float32) if hum else samples


def run(samples: Float, values: Float) -> Float:
    rest = Rest(AHEAD)
    rest.hear(samples)
    return rest.shut(values)


def test_lips_touch_in_a_pause_and_nowhere_else() -> None:
    for hum in (0.0, 0.005):
        made = run(speech(60, [(20, 40)], hum), rows(60, 0.06))
        closed = lip_distance(made) < CLOSED_DISTANCE
        assert closed[20:40].all() and not closed[:20].any() and not closed[40:].any()
        # A smile stays.
        np.testing.assert_array_equal(made[:, PLACE["mouthSmileLeft"]], np.float32(0.4))


def test_lips_rest_before_the_first_word() -> None:
    made = run(speech(60, [(0, 20)], 0.002), rows(60, 0.06))
    closed = lip_distance(made) < CLOSED_DISTANCE
    assert closed[:20].all() and not closed[20:].any()


def test_a_pause_shorter_than_a_third_of_a_second_is_speech() -> None:
    made = run(speech(60, [(20, 20 + SHORTEST - 1)]), rows(60, 0.06))
    # Until its end is known it may be a long one.
    assert not (lip_distance(made) < CLOSED_DISTANCE)[20 + SHORTEST - 1 - AHEAD :].any()


def test_a_mouth_heard_wide_open_is_left_alone() -> None:
    wide = rows(60, MEL_LIMITS[1] + 0.01)
    np.testing.assert_array_equal(run(speech(60, [(20, 40)]), wide), wide)


def test_what_the_jaw_cannot_close_the_lips_do() -> None:
    values = np.zeros((40, 52), np.float32)
    values[:, PLACE["mouthLowerDownLeft"]] = 0.3
    made = run(speech(40, [(0, 40)]), values)
    assert (np.abs(lip_distance(made)) < 1e-6).all() and (made[:, PLACE["mouthClose"]] > 0.05).all()


def test_lips_move_apart_as_well_and_stay_in_range() -> None:
    values = rows(3, 0.9)
    values[:, PLACE["mouthClose"]] = 0.5
    by = np.array([0.2, -0.05, -0.3], np.float32)
    made = nearer(values, by)
    np.testing.assert_allclose(lip_distance(values) - lip_distance(made), by, atol=1e-6)
    assert made.min() >= 0 and made.max() <= 1
    # The jaw is open all the way: what is missing comes from lips that were closed before it.
    assert made[2, PLACE["jawOpen"]] == 1 and made[2, PLACE["mouthClose"]] < 0.5


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=12), st.integers(0, 30))
def test_chunks_do_not_matter(sizes: list[int], start: int) -> None:
    frames = 60
    samples, values = speech(frames, [(start, start + 15)], 0.003), rows(frames, 0.1)
    whole = run(samples, values)
    rest, made, heard, given_ = Rest(AHEAD), [], 0, 0
    for size in [*sizes, len(samples)]:
        part = samples[heard : heard + size]
        rest.hear(part)
        heard += len(part)
        ready = frames if heard == len(samples) else max(given_, heard // SAMPLES_PER_FRAME - AHEAD)
        made.append(rest.shut(values[given_:ready]))
        given_ = max(given_, ready)
    np.testing.assert_array_equal(np.concatenate(made), whole)


def test_the_last_begun_frame_counts() -> None:
    samples, values = speech(30, [])[: -SAMPLES_PER_FRAME // 2], rows(30, 0.1)
    rest = Rest(AHEAD)
    rest.hear(samples)
    rest.finish()
    np.testing.assert_array_equal(rest.shut(values), values)


def test_memory_is_bounded() -> None:
    rest = Rest(AHEAD)
    for _ in range(40):
        rest.hear(speech(50, [(10, 30)]))
        rest.shut(rows(50, 0.1))
    assert len(rest._levels) <= MEMORY + 50 + AHEAD
