"""The shipped speech encoder, hearing in pieces and as a whole."""

from __future__ import annotations

import numpy as np

from kouxing.audio.encoder import SpeechEncoder
from kouxing.audio.features import log_mel
from kouxing.units import MELS_PER_FRAME, SAMPLE_HZ


def test_a_whole_mel_gives_what_its_sound_gives_in_pieces() -> None:
    encoder = SpeechEncoder(threads=1)
    samples = np.random.default_rng(0).normal(0, 0.1, 2 * SAMPLE_HZ).astype(np.float32)
    stream = encoder.stream()
    pieces = [stream.push(part) for part in np.array_split(samples, 7)]
    heard = np.concatenate([*pieces, stream.finish()])
    mel = log_mel(samples)
    whole = encoder.hear(mel[: len(mel) // MELS_PER_FRAME * MELS_PER_FRAME])
    assert whole.shape == heard.shape
    np.testing.assert_allclose(whole, heard, atol=1e-4)
