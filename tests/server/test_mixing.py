"""Captured and spoken faces in one: by groups, without a jump, whatever devices come and go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import OptionError
from kouxing.server.mixing import DELAY_S, FADE_S, GROUPS, HANG_S, PRESETS, STALE_S, Mixer, Rules, read_rules
from kouxing.server.mocap_frames import Capture, Frame

JAW, BROW, BLINK, CHEEK = (PLACE[name] for name in ("jawOpen", "browInnerUp", "eyeBlinkLeft", "cheekPuff"))
STEP = 1 / 60
MOUTHS = [place for place, name in enumerate(COEFFICIENTS) if name.startswith(("jaw", "mouth", "tongue"))]


class Stage:
    """A session at 60 rows a second with capture devices beside it; ``now`` is the monotonic clock."""

    def __init__(self, rules: Rules | str, *captures: Capture, chunk: int = 1) -> None:
        self.captures = captures or (Capture(),)
        self.mixer = Mixer(read_rules(rules) if isinstance(rules, str) else rules, self.captures)
        self.now, self.row, self.chunk = 500.0, 0, chunk
        self.rows: list[np.ndarray] = []
        self.turns: list[np.ndarray | None] = []

    def run(
        self,
        seconds: float,
        captured: float | None = None,
        speaking: bool = False,
        spoken: float = 0.2,
        device: int = 0,
    ) -> np.ndarray:
        """Rows of so many seconds; a captured face has ``captured`` everywhere, the spoken one ``spoken``."""
        begin = len(self.rows)
        for _ in range(round(seconds * 60 / self.chunk)):
            for _ in range(self.chunk):
                self.now += STEP
                if captured is not None:
                    full = np.full(52, captured, np.float32)
                    self.captures[device].push(Frame(self.now, full, np.full(9, captured, np.float32)))
            times = (self.row + np.arange(self.chunk)) * STEP
            self.row += self.chunk
            made = self.mixer.mix(np.full((self.chunk, 52), spoken, np.float32), times, self.now, speaking)
            assert made.shape == (self.chunk, 52) and made.dtype == np.float32 and made.min() >= 0 and made.max() <= 1
            self.rows += list(made)
            turns = self.mixer.rotations
            self.turns += [None] * self.chunk if turns is None else list(turns)
        return np.array(self.rows[begin:])

    def largest_step(self) -> float:
        return float(np.abs(np.diff(np.array(self.rows), axis=0)).max())


def test_the_words_for_rules() -> None:
    assert read_rules("face") == Rules(PRESETS["face"])
    assert read_rules("mouth=either, eyes=spoken").who == {**PRESETS["face"], "mouth": "either", "eyes": "spoken"}
    assert read_rules("captured,mouth=spoken").who["mouth"] == "spoken"
    for text in ("", "mouth", "mouth=loud", "ears=captured", "face=captured", "mouth=either,,"):
        with pytest.raises(OptionError) as caught:
            read_rules(text)
        assert "--mix" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError):
        Rules({"eyes": "captured"})


def test_every_coefficient_belongs_to_one_group() -> None:
    for group in GROUPS[:-1]:
        stage = Stage(Rules({one: "captured" if one == group else "spoken" for one in GROUPS}))
        moved = np.abs(stage.run(1.0, captured=0.9)[-1] - 0.2) > 0.1
        stems = {"eyes": "eye", "brows": "brow", "cheeks": ("cheek", "nose"), "mouth": ("jaw", "mouth", "tongue")}
        assert [bool(one) for one in moved] == [name.startswith(stems[group]) for name in COEFFICIENTS]


def test_without_capture_the_rows_are_the_same_array() -> None:
    mixer = Mixer(captures=[Capture()])
    rows = np.random.default_rng(0).random((4, 52)).astype(np.float32)
    assert mixer.mix(rows, np.arange(4) * STEP, 1.0, True) is rows and mixer.rotations is None
    assert len(mixer.mix(rows[:0], np.zeros(0), 1.0)) == 0


def test_a_captured_face_with_a_spoken_mouth() -> None:
    stage = Stage("face")
    rows = stage.run(1.0, captured=0.9, speaking=True)
    assert rows[-1, BROW] == pytest.approx(0.9) and rows[-1, BLINK] == pytest.approx(0.9)
    np.testing.assert_allclose(rows[:, MOUTHS], 0.2, atol=1e-6)
    assert stage.turns[-1] == pytest.approx(0.9)


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_capture_comes_and_goes_without_a_jump(chunk: int) -> None:
    stage = Stage("captured", chunk=chunk)
    stage.run(0.5)
    stage.run(1.0, captured=0.9)
    gone = stage.run(1.0)
    back = stage.run(0.5, captured=0.9)
    assert stage.rows[round(1.4 * 60)][JAW] == pytest.approx(0.9) and back[-1, JAW] == pytest.approx(0.9)
    # Held while it may only be late, then back to the spoken face.
    assert gone[round((STALE_S - 2 * chunk * STEP) * 60), JAW] == pytest.approx(0.9)
    np.testing.assert_allclose(gone[round((STALE_S + DELAY_S + FADE_S) * 60) + chunk :], 0.2, atol=1e-6)
    # A cross-fade's steepest step, of the whole way 0.7.
    assert stage.largest_step() <= 0.7 * 1.5 * STEP / FADE_S + 1e-5
    assert stage.turns[round(2.4 * 60)] is None


def test_a_capture_that_returns_elsewhere_does_not_jump() -> None:
    stage = Stage("captured")
    stage.run(1.0, captured=1.0)
    stage.run(STALE_S + 0.1)
    stage.run(0.5, captured=0.0, spoken=0.2)
    assert stage.largest_step() < 0.2


def test_either_speaks_while_it_speaks() -> None:
    stage = Stage("either")
    stage.run(1.0, captured=0.9)
    assert stage.rows[-1][JAW] == pytest.approx(0.9)
    talk = stage.run(1.0, captured=0.9, speaking=True)
    np.testing.assert_allclose(talk[round(FADE_S * 60) + 1 :, JAW], 0.2, atol=1e-6)
    assert talk[-1, BROW] == pytest.approx(0.9)
    # A short pause between words keeps the spoken mouth, a longer one gives it back.
    np.testing.assert_allclose(stage.run(HANG_S - 0.05, captured=0.9)[:, JAW], 0.2, atol=1e-6)
    assert stage.run(1.0, captured=0.9)[-1, JAW] == pytest.approx(0.9)
    assert stage.largest_step() <= 0.7 * 1.5 * STEP / FADE_S + 1e-5


def test_the_first_fresh_device_counts_and_the_next_takes_over() -> None:
    stage = Stage("captured", Capture(), Capture())
    stage.run(0.5, captured=0.9, device=1)
    assert stage.rows[-1][JAW] == pytest.approx(0.9)
    # Both: the first.
    for _ in range(60):
        stage.captures[1].push(Frame(stage.now + STEP / 2, np.full(52, 0.9, np.float32)))
        stage.run(STEP, captured=0.5, device=0)
    assert stage.rows[-1][JAW] == pytest.approx(0.5)
    for _ in range(60):
        stage.run(STEP, captured=0.9, device=1)
    assert stage.rows[-1][JAW] == pytest.approx(0.9)
    assert stage.largest_step() <= 0.7 * 1.5 * STEP / FADE_S + 1e-5


def test_devices_with_less_or_more_to_tell_take_over_without_a_jump() -> None:
    phone, tracker, known = Capture(), Capture(), np.zeros(52, bool)
    known[BROW] = True
    stage = Stage("captured", phone, tracker)

    def tracked() -> None:
        for _ in range(60):
            tracker.push(Frame(stage.now + STEP / 2, np.full(52, 0.9, np.float32), None, known))
            stage.run(STEP)

    tracked()
    stage.run(1.0, captured=0.9)
    assert stage.turns[-1] == pytest.approx(0.9) and stage.rows[-1][CHEEK] == pytest.approx(0.9)
    tracked()
    assert stage.rows[-1][BROW] == pytest.approx(0.9) and stage.rows[-1][CHEEK] == pytest.approx(0.2)
    assert stage.largest_step() <= 0.7 * 1.5 * STEP / FADE_S + 1e-5
    heads = [0.0 if turns is None else float(turns[0]) for turns in stage.turns]
    assert max(heads) == pytest.approx(0.9) and stage.turns[-1] is None
    assert np.abs(np.diff(heads)).max() <= 0.9 * 1.5 * STEP / FADE_S + 1e-5


def test_an_interrupted_voice_gives_the_mouth_back() -> None:
    stage = Stage("either")
    stage.run(1.0, captured=0.9)
    stage.run(1.0, captured=0.9, speaking=True)
    # Half a second had been said ahead of time.
    stage.row -= 30
    back = stage.run(HANG_S + FADE_S + 0.1, captured=0.9)
    assert back[-1, JAW] == pytest.approx(0.9)


def test_what_a_device_does_not_tell_stays_spoken() -> None:
    capture, known = Capture(), np.zeros(52, bool)
    known[BROW] = True
    stage = Stage("captured", capture)
    for _ in range(60):
        capture.push(Frame(stage.now + STEP / 2, np.full(52, 0.9, np.float32), None, known))
        stage.run(STEP)
    assert stage.rows[-1][BROW] == pytest.approx(0.9) and stage.rows[-1][CHEEK] == pytest.approx(0.2)
    assert stage.mixer.rotations is None


def test_sixty_captured_frames_a_second_are_all_to_be_seen() -> None:
    """Rows that are made five at a time still follow the captured face row by row."""
    capture = Capture()
    mixer = Mixer(read_rules("captured"), [capture])
    now, made, told = 10.0, [], []
    for number in range(300):
        now += STEP
        told.append(0.5 + 0.4 * np.sin(number / 7))
        capture.push(Frame(now, np.full(52, told[-1], np.float32)))
        if number % 5 == 4:
            times = np.arange(number - 4, number + 1) * STEP
            made += list(mixer.mix(np.zeros((5, 52), np.float32), times, now)[:, BROW])
    settled = round(FADE_S * 60) + 6
    # Row i shows what was captured DELAY_S before.
    np.testing.assert_allclose(made[settled:], told[settled - 1 : -1], atol=1e-5)


def test_rows_made_far_ahead_do_not_jump() -> None:
    """Half a second of speech comes at once: the captured face waits for it, and never goes back."""
    capture = Capture()
    mixer = Mixer(read_rules("captured"), [capture])
    now, row, made = 10.0, 0, []
    for number in range(240):
        now += STEP
        capture.push(Frame(now, np.full(52, min(number / 240, 1), np.float32)))
        # Rows up to the present; from row 100 on up to half a second ahead of it.
        count = number + 1 + (30 if number >= 100 else 0) - row
        times = (row + np.arange(count)) * STEP
        row += count
        made += list(mixer.mix(np.zeros((count, 52), np.float32), times, now)[:, BROW])
    steps = np.diff(made[30:])
    assert steps.min() >= -1e-6 and steps.max() <= 1.01 / 240 and made[-1] == pytest.approx(238 / 240, abs=1e-4)


def test_changed_rules_fade() -> None:
    stage = Stage("captured")
    stage.run(1.0, captured=0.9)
    stage.mixer.rules = read_rules("spoken")
    stage.run(0.5, captured=0.9)
    assert stage.rows[-1][JAW] == pytest.approx(0.2) and stage.largest_step() <= 0.7 * 1.5 * STEP / FADE_S + 1e-5


def test_times_may_begin_anew() -> None:
    stage = Stage("captured")
    stage.run(1.0, captured=0.9)
    stage.mixer.reset()
    stage.row = 0
    stage.run(0.5, captured=0.9)
    assert stage.rows[-1][JAW] == pytest.approx(0.9) and stage.largest_step() <= 0.7 * 1.5 * STEP / FADE_S + 1e-5


def test_wrong_shapes() -> None:
    with pytest.raises(ValueError, match="52"):
        Mixer().mix(np.zeros((2, 51), np.float32), np.zeros(2), 0.0)
    with pytest.raises(ValueError, match="times"):
        Mixer().mix(np.zeros((2, 52), np.float32), np.zeros(3), 0.0)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 0.4), st.sampled_from([None, 0.0, 0.4, 1.0]), st.booleans(), st.floats(0, 1), st.integers(0, 1)
        ),
        max_size=8,
    ),
    st.sampled_from(list(PRESETS)),
    st.integers(1, 4),
)  # fmt: skip
def test_whatever_happens_the_face_stays_a_face(story: list, rules: str, chunk: int) -> None:
    stage = Stage(rules, Capture(), Capture(), chunk=chunk)
    for seconds, captured, speaking, spoken, device in story:
        stage.run(seconds, captured, speaking, spoken, device)
