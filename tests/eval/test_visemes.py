"""Viseme switching by Rhubarb's rules, on phones whose shapes its documentation tells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.arkit import PLACE
from kouxing.errors import DataError
from kouxing.eval import visemes
from kouxing.eval.visemes import SHAPES, Cue, rows_of, shapes_of, shapes_of_cues, smoothed
from kouxing.face.closure import CLOSED_DISTANCE, lip_distance
from kouxing.text.phones import CLASS, MOUTHS, Phone, mouth_classes


def shown(*sounds: tuple[str, int]) -> str:
    """The shapes of (class, hundredths of a second), one letter a run."""
    classes = [CLASS[name] for name, length in sounds for _ in range(length)]
    shapes = shapes_of(classes)
    assert len(shapes) == len(classes)
    letters = [SHAPES[shape] for shape in shapes]
    return "".join(letter for letter, before in zip(letters, [None, *letters], strict=False) if letter != before)


def test_each_sound_has_its_shape() -> None:
    quiet = ("rest", 50)
    for name, shape in {
        "bilabial": "A", "labiodental": "G", "rounded-close": "F", "rounded-mid": "E", "spread": "B", "mid": "C",
    }.items():  # fmt: skip
        assert shown(quiet, (name, 15), quiet) == f"X{shape}X", name
    assert shown(quiet, ("open", 15), quiet) == "XCX"
    # A long open vowel is wide, and the mouth closes over the next smaller shape.
    assert shown(quiet, ("open", 30), quiet) == "XDCX"
    assert shown(quiet, ("lateral", 25), quiet) == "XHX"


def test_consonants_follow_the_vowel_that_comes() -> None:
    # s before u is puckered, before i spread.
    assert shown(("rest", 50), ("sibilant", 12), ("rounded-close", 15), ("rest", 50)) == "XFX"
    assert shown(("rest", 50), ("sibilant", 12), ("spread", 15), ("rest", 50)) == "XBX"
    # m never is.
    assert shown(("rest", 50), ("bilabial", 12), ("rounded-close", 15), ("rest", 50)) == "XAFX"


def test_short_pauses_do_not_close_the_mouth() -> None:
    assert shown(("spread", 20), ("rest", 8), ("spread", 20)) == "B"
    assert "X" in shown(("spread", 20), ("rest", 50), ("spread", 20))


def test_a_short_closure_is_lengthened_and_flicker_left_out() -> None:
    classes = [CLASS["open"]] * 18 + [CLASS["bilabial"]] * 4 + [CLASS["open"]] * 18
    assert (shapes_of(classes) == SHAPES.index("A")).sum() >= 8
    flicker = [CLASS[name] for name in ("spread", "rounded-mid") for _ in range(2)] * 10
    runs = np.flatnonzero(np.diff(shapes_of(flicker)))
    assert (np.diff(runs) >= visemes.LEAST_SHAPE).all()


@given(st.lists(st.tuples(st.sampled_from([mouth.name for mouth in MOUTHS]), st.integers(1, 40)), max_size=20))
def test_any_speech_gets_shapes(sounds: list[tuple[str, int]]) -> None:
    classes = [CLASS[name] for name, length in sounds for _ in range(length)]
    shapes = shapes_of(classes)
    assert len(shapes) == len(classes) and ((shapes >= 0) & (shapes < len(SHAPES))).all()
    rows = rows_of(shapes)
    assert rows.shape == (-(-len(classes) // 4), 52) and (rows >= 0).all() and (rows <= 1).all()


def test_poses_close_and_open_the_lips() -> None:
    distance = {
        shape: float(lip_distance(rows_of(np.full(40, place, np.int8)))[5]) for place, shape in enumerate(SHAPES)
    }
    closed = {shape for shape, value in distance.items() if value < CLOSED_DISTANCE}
    assert closed == {"A", "X"}
    assert distance["D"] > distance["C"] > distance["E"]


def test_phones_of_a_synthesis_drive_it() -> None:
    phones = [Phone("", 0, 0.5), Phone("m", 0.5, 0.62), Phone("ɑː", 0.62, 0.9), Phone("", 0.9, 1.4)]
    rows = rows_of(shapes_of(mouth_classes(phones, 140, 100)))
    distance = lip_distance(rows)
    assert distance[14] < CLOSED_DISTANCE < distance[19] and rows[14, PLACE["mouthPressLeft"]] > 0.1


def test_poses_fade_into_each_other_centred_on_the_switch() -> None:
    shapes = np.repeat([SHAPES.index("X"), SHAPES.index("D")], 80).astype(np.int8)
    jaw = rows_of(shapes)[:, PLACE["jawOpen"]]
    assert jaw[18] == 0 and jaw[20] == pytest.approx(jaw[-1] / 2) and jaw[22] == pytest.approx(jaw[-1])


def test_cues_hold_until_the_next_and_strangers_are_named() -> None:
    shapes = shapes_of_cues([Cue(0.1, "D"), Cue(0.2, "A")], 30)
    assert "".join(SHAPES[shape] for shape in shapes) == "X" * 10 + "D" * 10 + "A" * 10
    with pytest.raises(DataError, match="'Q'"):
        shapes_of_cues([Cue(0, "Q")], 5)


def test_smoothing_takes_single_frames_out() -> None:
    logits = np.zeros((30, len(MOUTHS)), np.float32)
    logits[:, 3] = 2
    logits[15, 3], logits[15, 5] = 0, 3
    assert (smoothed(logits, 2) == 3).all() and smoothed(logits, 0)[15] == 5 and len(smoothed(logits[:1])) == 1


def test_mean_opening_by_shape() -> None:
    shapes = np.repeat([SHAPES.index("A"), SHAPES.index("D")], 8).astype(np.int8)
    means = visemes.mean_opening([shapes], [np.array([0.1, 0.3, 0.5, 9.0])], [np.array([1, 1, 1, 0], bool)])
    assert means[SHAPES.index("A")] == pytest.approx(0.2) and means[SHAPES.index("D")] == pytest.approx(0.5)
