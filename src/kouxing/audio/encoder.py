"""The trained speech encoder in use: samples in, audio features at 25 fps out, streaming."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kouxing import weights
from kouxing.audio.features import SILENT_MEL, MelStream
from kouxing.types import Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME, SAMPLES_PER_FRAME

NAME = "speech"


def around(dimensions: dict[str, int]) -> tuple[int, int]:
    """Mel frames of context before and behind a video frame's own, by an encoder's card."""
    middle, earlier = dimensions["reach"] * MELS_PER_FRAME, dimensions.get("earlier", 0)
    return middle + earlier, middle - earlier


class SpeechEncoder:
    """Loads the ``speech`` weights once; any number of streams share them.

    Args:
        threads: CPU threads of the network; by default those of ``weights.session``.
        folder: where the weights lie, as for ``weights.session``.

    Raises:
        WeightError: the weights are missing or damaged.
    """

    def __init__(self, threads: int | None = None, folder: Path | None = None) -> None:
        self.session, self.card = weights.session(NAME, threads=threads, folder=folder)
        self.dimensions: dict[str, int] = self.card["dimensions"]

    def stream(self) -> SpeechStream:
        """A stream at its beginning."""
        return SpeechStream(self)

    def hear(self, mel: Float) -> Float:
        """Features ``[T, D]`` of a sound whose log-mel ``[4T, 80]`` is known as a whole; all is quiet around it."""
        _, after = around(self.dimensions)
        return self.stream()._push_mel(np.concatenate([mel, _quiet(after)]))


class SpeechStream:
    """One speech being heard. Features come some mel frames (the look-ahead) after their sound."""

    def __init__(self, encoder: SpeechEncoder) -> None:
        self._encoder = encoder
        size = encoder.dimensions
        self._before, self._after = around(size)
        self._mel = _quiet(self._before)
        self._state = np.zeros((size["members"] * size["layers"], 1, size["hidden"]), np.float32)
        self._sound = MelStream()
        self._heard = self._given = 0

    def push(self, samples: Float) -> Float:
        """Take ``[N] float32`` samples at ``SAMPLE_HZ``; give the ``[n, D]`` features they complete."""
        self._heard += len(samples)
        return self._push_mel(self._sound.push(samples))

    def finish(self) -> Float:
        """The features still owed, ``[n, D]``: together with all before, one for every begun video frame."""
        frames = -(-self._heard // SAMPLES_PER_FRAME)
        rest = self._sound.finish()
        held = len(self._mel) + len(rest) - self._before
        wanted = (frames - self._given) * MELS_PER_FRAME + self._after
        return self._push_mel(np.concatenate([rest, _quiet(max(0, wanted - held))]))

    def _push_mel(self, mel: Float) -> Float:
        """Take ``[m, 80]`` log-mel in place of sound; give the ``[n, D]`` features it completes."""
        self._mel = np.concatenate([self._mel, mel])
        context = self._before + self._after
        frames = (len(self._mel) - context) // MELS_PER_FRAME
        if frames <= 0:
            return np.zeros((0, self._encoder.dimensions["features"]), np.float32)
        used = context + frames * MELS_PER_FRAME
        features, self._state = self._encoder.session.run(None, {"mel": self._mel[None, :used], "state": self._state})
        self._mel = self._mel[frames * MELS_PER_FRAME :]
        self._given += frames
        return np.asarray(features[0], np.float32)


def _quiet(count: int) -> Float:
    """``[count, 80]`` log-mel of silence."""
    return np.full((count, MEL_BANDS), SILENT_MEL, np.float32)
