"""The trained sync discriminator in use: mouth pictures and speech -> unit vectors, alike where they are in sync."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kouxing import weights
from kouxing.errors import WeightError
from kouxing.face.mouth_picture import HEIGHT_PX, WIDTH_PX
from kouxing.face.offset import Calibration, Offset, alike, find_offset, similarities
from kouxing.types import Bool, Bytes, Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME

MOUTH, SPEECH = "sync_mouth", "sync_speech"
CHUNK = 128
"""Rows computed at a time: memory stays the same however long a clip is."""


class Discriminator:
    """Both encoders out of the weight door.

    Args:
        threads, providers, folder: as for ``weights.session``.

    Raises:
        WeightError: the weights are missing, damaged, or do not belong together.
    """

    def __init__(
        self, threads: int | None = None, providers: Sequence[str] | None = None, folder: Path | None = None
    ) -> None:
        self._mouth, told = weights.session(MOUTH, providers, threads, folder)
        self._speech, other = weights.session(SPEECH, providers, threads, folder)
        self._folder = folder
        size = told["dimensions"]
        if size != other["dimensions"] or (size["height"], size["width"]) != (HEIGHT_PX, WIDTH_PX):
            raise WeightError(f"{MOUTH} and {SPEECH} do not belong together: install kouxing again, or train both")
        self.mouth_reach, self.speech_reach = int(size["mouth_reach"]), int(size["speech_reach"])
        self.features = int(size["features"])
        self.calibration = Calibration.of(size["calibration"]) if "calibration" in size else None

    @property
    def mouth_frames(self) -> int:
        """Pictures that a mouth vector is made of, the middle one its own."""
        return 2 * self.mouth_reach + 1

    @property
    def speech_mels(self) -> int:
        """Mel frames that a speech vector is made of, around the middle of its video frame."""
        return (2 * self.speech_reach + 1) * MELS_PER_FRAME

    def size_mb(self) -> float:
        """Both files together, in MB."""
        return sum(weights.size_mb(name, self._folder) for name in (MOUTH, SPEECH))

    def embed_mouths(self, pictures: Bytes) -> Float:
        """Mouth vectors.

        Args:
            pictures: ``[T, 48, 64] uint8`` (``face.mouth_picture``), at ``FRAME_HZ``.

        Returns:
            ``[T, D] float32`` unit rows; NaN where a window would reach beyond the pictures.

        Raises:
            ValueError: another shape or type.
        """
        if pictures.shape[1:] != (HEIGHT_PX, WIDTH_PX) or pictures.dtype != np.uint8:
            raise ValueError(f"pictures must be [T, {HEIGHT_PX}, {WIDTH_PX}] uint8, got {pictures.shape}")

        def run(first: int, last: int) -> Any:
            return self._mouth.run(None, {"pictures": np.ascontiguousarray(pictures[None, first:last])})[0][0]

        return self._rows(len(pictures), self.mouth_reach, run)

    def embed_speech(self, mel: Float) -> Float:
        """Speech vectors.

        Args:
            mel: ``[4T, 80] float32`` (``audio.features.log_mel``); what is left of the last video frame is ignored.

        Returns:
            ``[T, D] float32`` unit rows; NaN where a window would reach beyond the sound.

        Raises:
            ValueError: another shape.
        """
        if mel.ndim != 2 or mel.shape[1] != MEL_BANDS:
            raise ValueError(f"mel must be [4T, {MEL_BANDS}], got {mel.shape}")

        def run(first: int, last: int) -> Any:
            part = mel[None, first * MELS_PER_FRAME : last * MELS_PER_FRAME]
            return self._speech.run(None, {"mel": np.ascontiguousarray(part, np.float32)})[0][0]

        return self._rows(len(mel) // MELS_PER_FRAME, self.speech_reach, run)

    def similarity(self, pictures: Bytes, mel: Float) -> float:
        """How well a window's mouths and sound belong together (``face.offset.alike``), nothing known around it.

        Args:
            pictures: ``[T, 48, 64] uint8``, T at least 5.
            mel: ``[4 * (T + 2 * (speech_reach - mouth_reach)), 80]``, the sound of these frames and of those before
                and behind that the speech side hears further.

        Raises:
            ValueError: other shapes.
        """
        around = self.speech_reach - self.mouth_reach
        if len(pictures) < self.mouth_frames or len(mel) != MELS_PER_FRAME * (len(pictures) + 2 * around):
            raise ValueError(
                f"{len(pictures)} pictures and {len(mel)} rows of sound, with {around} frames around, do not fit"
            )
        mouth, speech = self.embed_mouths(pictures), self.embed_speech(mel)
        reach = self.mouth_reach
        rows = len(mouth) - 2 * reach
        heard = speech[self.speech_reach : self.speech_reach + rows]
        return float(alike(mouth[reach : reach + rows], heard, rows)[0])

    def offset(self, pictures: Bytes, mel: Float, spoken: Bool | None = None) -> Offset:
        """By how much the sound of one shot is late; ``spoken [T]``: frames that are not silent."""
        sims = similarities(self.embed_mouths(pictures), self.embed_speech(mel))
        return find_offset(sims, spoken, self.calibration)

    def _rows(self, frames: int, reach: int, run: Callable[[int, int], Any]) -> Float:
        result = np.full((frames, self.features), np.nan, np.float32)
        for first in range(reach, frames - reach, CHUNK):
            last = min(frames - reach, first + CHUNK)
            result[first:last] = run(first - reach, last + reach)
        return result
