"""Painters hear mouth geometry and phones, in time with each other."""

import numpy as np
import pytest

from kouxing.audio.features import frame_mels, log_mel
from kouxing.audio.file_ear import FileEar
from kouxing.audio.painter_ear import PainterEar
from kouxing.audio.phone_ear import SPOKEN, SURE, PhoneEar, placed, spoken
from kouxing.media.reader import load_sound
from kouxing.text.phones import CLASS, MOUTHS
from kouxing.units import SAMPLE_HZ
from kouxing.weights import SHIPPED

VOICE = SHIPPED.parent / "assets" / "demo-voice.flac"


@pytest.fixture(scope="module")
def ear() -> PainterEar:
    return PainterEar(threads=1)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return load_sound(VOICE, SAMPLE_HZ).samples[: 6 * SAMPLE_HZ + 100]


def test_it_tells_geometry_and_what_is_said(ear: PainterEar, sound: np.ndarray) -> None:
    told = ear.hear(sound)
    assert told.shape == (151, 16 + SPOKEN)
    np.testing.assert_allclose(told[:, :16], FileEar(threads=1).hear(sound), atol=1e-4)
    said = spoken(PhoneEar(ear.front, threads=1).hear(ear.front.hear(sound)).log_probs)
    np.testing.assert_allclose(told[:, 16:][: len(said) - 3], said[:-3], atol=1e-3)
    assert 0.5 * SURE < told[:, 16:].max() <= SURE * (1 + 1e-5)


def test_pieces_give_what_the_whole_gives(ear: PainterEar, sound: np.ndarray) -> None:
    stream, whole = ear.stream(), ear.hear(sound)
    pieces = [stream.push(piece) for piece in np.array_split(sound, 23)]
    np.testing.assert_allclose(np.concatenate([*pieces, stream.finish()]), whole, atol=1e-3)


def test_rows_that_are_known_give_what_the_sound_gives(ear: PainterEar, sound: np.ndarray) -> None:
    rows, mel = ear.front.hear(sound), frame_mels(log_mel(sound), 151)
    np.testing.assert_allclose(ear.hear_rows(rows, mel)[:-3], ear.hear(sound)[:-3], atol=1e-3)


def test_nothing_heard_is_nothing_told(ear: PainterEar) -> None:
    assert ear.hear(np.zeros(0, np.float32)).shape == (0, 16 + SPOKEN)


def test_a_text_says_its_classes_for_sure() -> None:
    assert len(MOUTHS) == SPOKEN + 1
    classes = np.array([[0] * 4 + [CLASS["open"]] * 4, [CLASS["lateral"]] * 4 + [CLASS["open"]] * 4])
    made = placed(classes, 3)
    assert made.shape == (3, SPOKEN) and not made[2].any()
    assert made[0, CLASS["lateral"] - 1] == SURE / 2 and made[1, CLASS["open"] - 1] == SURE
    assert made[0].sum() == SURE / 2 and made[1].sum() == SURE
