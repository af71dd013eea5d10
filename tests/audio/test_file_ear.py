"""Files are heard with two encoders, in time with each other."""

import numpy as np

from kouxing.audio.encoder import SpeechEncoder
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


def test_nothing_heard_is_nothing_told() -> None:
    assert FileEar(threads=1).hear(SOUND[:0]).shape == (0, 16)
