"""Time arithmetic: exact, for any rate, any frame lengths and any two lengths."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.errors import OptionError
from kouxing.infer.timeline import (
    LENGTHS,
    backward_runs,
    feature_window,
    last_ticks,
    plan,
    plan_picture,
)

time_bases = st.sampled_from(
    [Fraction(1, 25), Fraction(1, 12800), Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 1000)]
)
seconds = st.fractions(Fraction(1, 100), 20, max_denominator=48_000)


@st.composite
def sources(draw):
    steps = draw(st.lists(st.integers(1, 40), min_size=0, max_size=60))
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64), draw(time_bases), draw(st.integers(1, 40))


@given(sources(), seconds, st.sampled_from(LENGTHS))
def test_times_rise_from_zero_and_stay_inside_the_output(source, speech, length):
    pts, base, last = source
    line = plan(pts, base, last, speech, length)
    assert line.pts[0] == 0 and line.time_base == base
    assert (np.diff(line.pts) > 0).all()
    assert line.time(len(line) - 1) < line.seconds
    assert line.source.min() >= 0 and line.source.max() < len(pts)
    assert (np.abs(np.diff(line.source)) <= 1).all()


@given(sources(), seconds)
def test_video_length_keeps_every_frame_at_its_own_time(source, speech):
    pts, base, last = source
    line = plan(pts, base, last, speech, "video")
    assert line.source.tolist() == list(range(len(pts)))
    assert line.pts.tolist() == pts.tolist()
    assert line.seconds == (int(pts[-1]) + last) * base


@given(sources(), seconds, st.sampled_from(["speech", "loop"]))
def test_speech_lengths_last_exactly_as_long_as_the_speech(source, speech, length):
    pts, base, last = source
    line = plan(pts, base, last, speech, length)
    assert line.seconds == max(speech, base)
    shared = min(len(pts), len(line))
    assert line.pts[:shared].tolist() == pts[:shared].tolist()
    # The next frame would begin at or after the end: none is missing.
    lengths = np.append(np.diff(pts), last)
    step = last if length == "speech" and line.source[-1] == len(pts) - 1 else int(lengths[line.source[-1]])
    assert line.pts[-1] + step >= ceil(speech / base)


@given(sources(), seconds)
def test_a_loop_gives_every_frame_its_own_length_and_never_jumps(source, speech):
    pts, base, last = source
    line = plan(pts, base, last, speech, "loop")
    lengths = np.append(np.diff(pts), last)
    assert (np.diff(line.pts) == lengths[line.source[:-1]]).all()
    if len(pts) > 1:
        assert (np.abs(np.diff(line.source)) == 1).all()


def test_loop_turns_at_both_ends_without_showing_them_twice():
    line = plan(np.arange(4), Fraction(1, 25), 1, Fraction(9, 25), "loop")
    assert line.source.tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]


def test_a_shorter_video_holds_its_last_frame():
    line = plan(np.arange(3) * 512, Fraction(1, 12800), 512, Fraction(1, 5), "speech")
    assert line.source.tolist() == [0, 1, 2, 2, 2]
    assert line.pts.tolist() == [0, 512, 1024, 1536, 2048]


def test_a_frame_held_after_a_long_last_one_speaks_at_the_usual_rate():
    line = plan(np.arange(3) * 40, Fraction(1, 1000), 320, Fraction(1, 2), "speech")
    assert line.pts.tolist() == list(range(0, 500, 40)) and line.source.tolist() == [0, 1, *[2] * 11]


def test_unknown_length_is_told():
    with pytest.raises(OptionError, match="--length shortest: choose one of video, speech, loop"):
        plan(np.arange(3), Fraction(1, 25), 1, Fraction(1), "shortest")


@given(seconds)
def test_a_picture_is_shown_at_25_fps_for_the_speech(speech):
    line = plan_picture(speech)
    assert len(line) == ceil(speech * 25)
    assert [line.time(k) for k in range(len(line))] == [Fraction(k, 25) for k in range(len(line))]
    assert line.seconds >= speech and set(line.source.tolist()) == {0}


@given(sources(), seconds, st.sampled_from(LENGTHS), st.fractions(Fraction(1, 10), 10))
def test_segments_cover_all_frames_in_order(source, speech, length, span):
    pts, base, last = source
    line = plan(pts, base, last, speech, length)
    pieces = line.segments(span)
    assert [k for first, stop in pieces for k in range(first, stop)] == list(range(len(line)))
    assert all(line.time(stop - 1) - line.time(first) < span for first, stop in pieces)


@given(st.lists(st.sampled_from([-1, 0, 1]), max_size=50))
def test_runs_cover_the_order_and_go_one_way(steps):
    source = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    runs = backward_runs(source)
    assert [k for first, stop in runs for k in range(first, stop)] == list(range(len(source)))
    for first, stop in runs:
        falls = np.diff(source[first:stop]) < 0
        assert falls.all() or not falls.any()


def test_last_frame_lasts_until_the_stated_end_unless_that_is_nonsense():
    pts, base = np.arange(5, dtype=np.int64) * 512, Fraction(1, 12800)
    rate = Fraction(25)
    assert last_ticks(pts, base, rate, Fraction(5, 25)) == 512
    assert last_ticks(pts, base, rate, Fraction(6, 25)) == 1024
    assert last_ticks(pts, base, rate, Fraction(1, 25)) == 512
    assert last_ticks(pts, base, rate, Fraction(1000)) == 512
    assert last_ticks(pts, base, None, None) == 512
    assert last_ticks(pts[:1], base, None, None) == 1


@given(st.integers(0, 30), st.integers(1, 6), st.sampled_from([1, 2]))
def test_windows_pick_rows_and_pad_with_rest(frame, columns, spacing):
    features = np.random.default_rng(frame).normal(size=(20, columns)).astype(np.float32)
    window = feature_window(features, Fraction(frame, 25), spacing=spacing)
    assert window.shape == (11, columns) and window.dtype == np.float32
    for place in range(11):
        row = frame + (place - 5) * spacing
        wanted = features[row] if 0 <= row < 20 else np.zeros(columns)
        np.testing.assert_array_equal(window[place], wanted)


@given(st.fractions(0, 2, max_denominator=1000))
def test_windows_between_rows_are_mixed_linearly(time):
    ramp = np.arange(100, dtype=np.float32)[:, None] + 1
    middle = feature_window(ramp, 1 + time)[5, 0]
    assert middle == pytest.approx(float((1 + time) * 25) + 1, abs=1e-4)
