"""Waveform -> log-mel frames, whole or streaming, and the speech window of a video frame.

Mel frame m is centred at (m + 1/2) * HOP samples, so frames 4i..4i+3 are the sound of video frame i at 25 fps.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kouxing.types import Float
from kouxing.units import HOP, MEL_BANDS, MELS_PER_FRAME, SAMPLE_HZ, WINDOW

FFT = 512
LEAD = (WINDOW - HOP) // 2
"""Samples that a mel frame's window reaches before and behind its own hop."""
AT_ONCE = 6000
"""Mel frames whose spectra are held at a time (a minute): an hour of them would fill gigabytes."""
POWER_FLOOR = 1e-6
LOG_SHIFT, LOG_SCALE = 6.0, 4.0
"""Brings the log power of speech to about zero mean and unit spread."""


@lru_cache(maxsize=1)
def mel_filters() -> Float:
    """Triangular filters, equally spaced in mel (O'Shaughnessy 1987), unit peak.

    Returns:
        ``[FFT // 2 + 1, MEL_BANDS] float32``.
    """
    top = 2595.0 * np.log10(1.0 + SAMPLE_HZ / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, MEL_BANDS + 2) / 2595.0) - 1.0)
    bins = np.linspace(0.0, SAMPLE_HZ / 2, FFT // 2 + 1)
    rise = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rise, fall)).astype(np.float32)


@lru_cache(maxsize=1)
def _window() -> Float:
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def _frames(samples: Float) -> Float:
    """Log-mel of every full window of ``samples``."""
    count = 1 + (len(samples) - WINDOW) // HOP if len(samples) >= WINDOW else 0
    if count == 0:
        return np.zeros((0, MEL_BANDS), np.float32)
    cut = np.lib.stride_tricks.as_strided(
        samples, (count, WINDOW), (samples.strides[0] * HOP, samples.strides[0]), writeable=False
    )
    made = np.empty((count, MEL_BANDS), np.float32)
    for first in range(0, count, AT_ONCE):
        power = np.abs(np.fft.rfft(cut[first : first + AT_ONCE] * _window(), FFT)) ** 2
        mel = power.astype(np.float32) @ mel_filters()
        made[first : first + AT_ONCE] = (np.log(mel + POWER_FLOOR) + LOG_SHIFT) / LOG_SCALE
    return made


SILENT_MEL = float((np.log(POWER_FLOOR) + LOG_SHIFT) / LOG_SCALE)
"""What digital silence looks like in every band."""


class MelStream:
    """Log-mel in chunks; the chunks together equal ``log_mel`` of the whole."""

    def __init__(self) -> None:
        self._rest = np.zeros(LEAD, np.float32)

    def push(self, samples: Float) -> Float:
        """Take ``[N] float32`` samples at ``SAMPLE_HZ``, give the ``[M, 80]`` mel frames they complete."""
        held = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        mel = _frames(held)
        self._rest = held[len(mel) * HOP :]
        return mel

    def finish(self) -> Float:
        """Mel frames of what is left, its end padded with silence."""
        left = max(0, len(self._rest) - LEAD)
        missing = -(-left // HOP) * HOP + 2 * LEAD - len(self._rest)
        return self.push(np.zeros(missing, np.float32)) if left else self.push(np.zeros(0, np.float32))


def log_mel(samples: Float) -> Float:
    """Log-mel spectrogram.

    Args:
        samples: ``[N] float32``, -1..1, at ``SAMPLE_HZ``.

    Returns:
        ``[ceil(N / HOP), 80] float32``, about zero mean and unit spread for speech.
    """
    count = -(-len(samples) // HOP)
    padded = np.zeros(count * HOP + 2 * LEAD, np.float32)
    padded[LEAD : LEAD + len(samples)] = samples
    return _frames(padded)


def frame_mels(mel: Float, frames: int) -> Float:
    """Cut or pad (with silence) to exactly ``frames`` video frames: ``[frames * MELS_PER_FRAME, 80]``."""
    wanted = frames * MELS_PER_FRAME
    if len(mel) >= wanted:
        return mel[:wanted]
    return np.concatenate([mel, np.full((wanted - len(mel), MEL_BANDS), SILENT_MEL, np.float32)])


def speech_window(mel: Float, frame: int, mels: int) -> Float:
    """The ``mels`` mel frames around the middle of video frame ``frame``; silence beyond the ends.

    Returns:
        ``[mels, 80] float32``.
    """
    first = frame * MELS_PER_FRAME + MELS_PER_FRAME // 2 - mels // 2
    steps = np.arange(first, first + mels)
    inside = (steps >= 0) & (steps < len(mel))
    window = np.full((mels, MEL_BANDS), SILENT_MEL, np.float32)
    window[inside] = mel[steps[inside]]
    return window
