"""Files are heard with two encoders, in time with each other."""

import numpy as np
import pytest

from kouxing.audio.encoder import SpeechEncoder
from kouxing.audio.features import frame_mels, log_mel
from kouxing.audio.file_ear import MEL_SHARE, NAMES, FileEar
from kouxing.units import SAMPLE_HZ

SOUND = np.random.default_rng(0).normal(0, 0.1, 12 * SAMPLE_HZ + 1).astype(np.float32)


def test_it_tells_what_both_tell() -> None:
    front, mel = (SpeechEncoder(threads=1, name=name).stream() for name in NAMES)
    apart = [np.concatenate([one.push(SOUND), one.finish()]) for one in (front, mel)]
    both = FileEar(threads=1).hear(SOUND)
    assert len(both) == 301
    np.testing.assert_allclose(both, (1 - MEL_SHARE) * apart[0] + MEL_SHARE * apart[1], atol=1e-5)


def test_pieces_give_what_the_whole_gives() -> None:
    ear = FileEar(threads=1)
    stream = ear.stream()
    pieces = [stream.push(piece) for piece in np.array_split(SOUND, 29)]
    np.testing.assert_allclose(np.concatenate([*pieces, stream.finish()]), ear.hear(SOUND), atol=1e-5)


def test_rows_that_are_known_give_what_the_sound_gives() -> None:
    ear = FileEar(threads=1)
    rows, mel = ear.front.hear(SOUND), frame_mels(log_mel(SOUND), 301)
    np.testing.assert_allclose(ear.hear_rows(rows, mel)[:-1], ear.hear(SOUND)[:-1], atol=1e-4)


def test_a_long_sound_is_heard_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SpeechEncoder(threads=1, name=NAMES[1])
    mel = frame_mels(log_mel(SOUND), 301)
    whole = encoder.hear(mel)
    monkeypatch.setattr("kouxing.audio.encoder.AT_ONCE", 70)
    assert len(whole) == 301
    np.testing.assert_allclose(encoder.hear(mel), whole, atol=1e-5)


def test_nothing_heard_is_nothing_told() -> None:
    assert FileEar(threads=1).hear(SOUND[:0]).shape == (0, 16)
