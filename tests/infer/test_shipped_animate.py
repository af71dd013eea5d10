"""The shipped weights of ``mouth`` and ``expression``: promises that do not depend on who speaks."""

from __future__ import annotations

import numpy as np
import pytest

from fake_media import wave
from kouxing.arkit import EMOTIONS, PLACE
from kouxing.face.closure import CLOSED_DISTANCE, drawn_together, lip_distance
from kouxing.infer.expression import NEAR, Expression
from kouxing.infer.mouth import Mouth
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ


def run(model: Mouth | Expression, sound: Float, **more: Float) -> Float:
    stream = model.stream(**more)
    return np.concatenate([stream.push(sound), stream.finish()])


@pytest.mark.parametrize("kind", [Mouth, Expression])
def test_silence_keeps_lips_shut_and_sound_moves_them(kind: type[Mouth] | type[Expression]) -> None:
    model = kind(threads=1)
    rows = run(model, np.zeros(2 * SAMPLE_HZ, np.float32))
    assert lip_distance(rows)[5:].max() < CLOSED_DISTANCE
    moved = run(model, wave("speechlike", 3.0, SAMPLE_HZ))
    assert np.isfinite(moved).all() and lip_distance(moved).max() > 3 * CLOSED_DISTANCE


def test_streams_look_ahead_no_more_than_a_tenth_of_a_second() -> None:
    assert Mouth(threads=1).look_ahead_ms <= 100
    assert Expression(threads=1, live=True).look_ahead_ms <= 100


def test_neutral_lips_go_towards_those_of_mouth() -> None:
    sound = wave("speechlike", 4.0, SAMPLE_HZ)
    told = np.maximum(lip_distance(run(Mouth(threads=1), sound)), 0)
    surprised = np.eye(len(EMOTIONS), dtype=np.float32)[EMOTIONS.index("surprised")]
    model = Expression(threads=1, live=True)
    both, moved = lip_distance(run(model, sound)), run(model, sound, emotion=surprised)
    model.mouth = None
    alone = lip_distance(run(model, sound))
    share = model.mouth_share
    wanted = drawn_together((1 - share) * np.maximum(alone, 0) + share * told, NEAR)
    # Wide enough that rest leaves them alone: this is no silence.
    speaks = np.minimum(alone, wanted) > 0.12
    assert speaks.sum() > 5 and share > 0.1 and np.abs(told - alone)[speaks].max() > 0.02
    np.testing.assert_allclose(both[speaks], wanted[speaks], atol=1e-4)
    np.testing.assert_array_equal(moved, run(model, sound, emotion=surprised))


def test_emotions_show() -> None:
    model = Expression(threads=1)
    sound = wave("speechlike", 2.0, SAMPLE_HZ)

    def mean(emotion: str, name: str) -> float:
        shares = np.eye(len(EMOTIONS), dtype=np.float32)[EMOTIONS.index(emotion)]
        return float(run(model, sound, emotion=shares)[:, PLACE[name]].mean())

    for emotion, name in (
        ("happy", "mouthSmileLeft"), ("sad", "browInnerUp"), ("angry", "browDownLeft"), ("fearful", "mouthStretchLeft"),
        ("disgusted", "noseSneerLeft"), ("surprised", "browOuterUpLeft"),
    ):  # fmt: skip
        assert mean(emotion, name) > mean("neutral", name) + 0.1, emotion
