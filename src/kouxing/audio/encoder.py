"""The trained speech encoder in use: samples in, audio features at 25 fps out, streaming."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kouxing import weights
from kouxing.audio.features import SILENT_MEL, MelStream
from kouxing.audio.front import AnyFront, Front
from kouxing.audio.live_front import LiveFront
from kouxing.errors import WeightError
from kouxing.types import Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME, SAMPLES_PER_FRAME

AT_ONCE = 500
"""Video frames of a whole sound that are given to the network in one call."""
NAME, FILE_NAME, LIVE_NAME = "speech", "speech_file", "speech_live"
"""The first hears log-mel; the others through the front of files, and that of streams."""


def rows_per_frame(dimensions: dict[str, int]) -> int:
    """Rows of sound that an encoder takes of a video frame, by its card: of log-mel, or one of the front."""
    return dimensions.get("steps", MELS_PER_FRAME)


def around(dimensions: dict[str, int]) -> tuple[int, int]:
    """Rows of sound of context before and behind a video frame's own, by an encoder's card."""
    middle, earlier = dimensions["reach"] * rows_per_frame(dimensions), dimensions.get("earlier", 0)
    return middle + earlier, middle - earlier


def front_of(
    dimensions: dict[str, int], threads: int | None, folder: Path | None = None, sha256: str | None = None
) -> AnyFront | None:
    """What an encoder hears through, by its card; None where it hears log-mel.

    Args:
        dimensions: of the encoder. threads: as for ``weights.session``.
        folder: where the encoder lies; the front may lie beside it.
        sha256: of the front that it was trained behind, where that is known.

    Raises:
        WeightError: the front is missing, or another one.
    """
    if rows_per_frame(dimensions) != 1:
        return None
    kind = LiveFront if dimensions.get("earlier") else Front
    beside = folder if folder is not None and (folder / f"{kind.name}.onnx").exists() else None
    front = kind(threads, beside)
    same_front(front, sha256)
    return front


def same_front(front: AnyFront, sha256: str | None) -> None:
    """What was trained behind a front hears nothing of use through another.

    Args:
        front: in use. sha256: of the one that it was trained behind, where that is known.

    Raises:
        WeightError: they are two.
    """
    if sha256 not in (None, front.card["sha256"]):
        raise WeightError(
            f"the encoder was trained behind another `{front.name}` than the one in use: let KOUXING_WEIGHTS name the "
            "folders of both, or of neither"
        )


def quiet(dimensions: dict[str, int], count: int) -> Float:
    """``[count, bands]`` rows of sound where there is none."""
    if rows_per_frame(dimensions) == 1:
        return np.zeros((count, dimensions["bands"]), np.float32)
    return np.full((count, MEL_BANDS), SILENT_MEL, np.float32)


class SpeechEncoder:
    """Loads an encoder's weights once; any number of streams share them.

    Args:
        threads: CPU threads of the network; by default those of ``weights.session``.
        folder: where the weights lie, as for ``weights.session``.
        name: ``NAME``, ``FILE_NAME`` or ``LIVE_NAME``.

    Raises:
        WeightError: the weights are missing or damaged.
    """

    def __init__(self, threads: int | None = None, folder: Path | None = None, name: str = NAME) -> None:
        self.session, self.card = weights.session(name, threads=threads, folder=folder)
        self.dimensions: dict[str, int] = self.card["dimensions"]
        self.heard = self.session.get_inputs()[0].name
        self.front = front_of(self.dimensions, threads, folder, self.card.get("front"))

    def stream(self) -> SpeechStream:
        """A stream at its beginning."""
        return SpeechStream(self)

    def hear(self, mel: Float) -> Float:
        """Features ``[T, D]`` of a sound whose log-mel ``[4T, 80]`` is known as a whole; all is quiet around it.

        Raises:
            WeightError: the encoder hears through the front, which mel is not enough for.
        """
        if self.front is not None:
            raise WeightError("encoders behind the front hear samples; take one trained without --front here")
        return self.hear_rows(mel)

    def hear_rows(self, rows: Float) -> Float:
        """``hear`` of whatever rows of sound it takes: log-mel ``[4T, 80]``, or the front's ``[T, WIDTH]``."""
        _, after = around(self.dimensions)
        stream, step = self.stream(), AT_ONCE * rows_per_frame(self.dimensions)
        whole = np.concatenate([rows, quiet(self.dimensions, after)])
        return np.concatenate([stream._push_mel(whole[first : first + step]) for first in range(0, len(whole), step)])


class SpeechStream:
    """One speech being heard. Features come some mel frames (the look-ahead) after their sound."""

    def __init__(self, encoder: SpeechEncoder) -> None:
        self._encoder = encoder
        size = encoder.dimensions
        self._before, self._after = around(size)
        self._mel = quiet(size, self._before)
        self._per_frame = rows_per_frame(size)
        self._state = np.zeros((size["members"] * size["layers"], 1, size["hidden"]), np.float32)
        self._sound = MelStream() if encoder.front is None else encoder.front.stream()
        self._heard = self._given = 0
        self.rows = quiet(size, 0)
        """Of sound, that the last ``push`` or ``finish`` heard."""

    def push(self, samples: Float) -> Float:
        """Take ``[N] float32`` samples at ``SAMPLE_HZ``; give the ``[n, D]`` features they complete."""
        self._heard += len(samples)
        self.rows = self._sound.push(samples)
        return self._push_mel(self.rows)

    def finish(self) -> Float:
        """The features still owed, ``[n, D]``: together with all before, one for every begun video frame."""
        frames = -(-self._heard // SAMPLES_PER_FRAME)
        self.rows = rest = self._sound.finish()
        held = len(self._mel) + len(rest) - self._before
        wanted = (frames - self._given) * self._per_frame + self._after
        return self._push_mel(np.concatenate([rest, quiet(self._encoder.dimensions, max(0, wanted - held))]))

    def _push_mel(self, mel: Float) -> Float:
        """Take ``[m, bands]`` rows of sound; give the ``[n, D]`` features they complete."""
        self._mel = np.concatenate([self._mel, mel])
        context = self._before + self._after
        frames = (len(self._mel) - context) // self._per_frame
        if frames <= 0:
            return np.zeros((0, self._encoder.dimensions["features"]), np.float32)
        used = context + frames * self._per_frame
        given = {self._encoder.heard: self._mel[None, :used], "state": self._state}
        features, self._state = self._encoder.session.run(None, given)
        self._mel = self._mel[frames * self._per_frame :]
        self._given += frames
        return np.asarray(features[0], np.float32)
