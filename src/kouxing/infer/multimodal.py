"""``multimodal`` in use: any of a text, a sound and a mouth video -> coefficients and mouth geometry at 25 a second."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing import weights
from kouxing.audio.clearness import NEARLY, clearness
from kouxing.audio.clearness import WIDTH as CLEAR
from kouxing.audio.features import SILENT_MEL, frame_mels, log_mel
from kouxing.audio.file_ear import FileEar
from kouxing.audio.front import WIDTH
from kouxing.audio.phone_ear import HeardPhones, PhoneEar
from kouxing.errors import OptionError
from kouxing.face.mouth_light import even_light
from kouxing.infer.multimodal_look import Looked
from kouxing.infer.multimodal_trust import heard_share
from kouxing.text.align import PLACEMENTS, Alignment, align, check_length
from kouxing.text.phones import REST
from kouxing.text.pronounce import Pronouncer
from kouxing.text.rows import text_rows
from kouxing.text.transcripts import Transcript
from kouxing.types import Bool, Float
from kouxing.units import MEL_HZ, MELS_PER_FRAME, SAMPLES_PER_FRAME

NAME, MOUTH_NAME = "multimodal", "multimodal_mouth"
AT_ONCE, REACH = 1000, 24
"""Frames done in one call, and more than its layers look at on each side: parts give what the whole gives."""
PICTURES_AT_ONCE = 100
LONGEST_S = 60 * 60
"""What is heard of an hour takes half a gigabyte, and so does what a text is said like."""
LENGTHS_DIFFER_S = 0.5
"""A mouth video and its sound may differ by this, or by a fiftieth: files are cut at frames and packets."""


@dataclass(frozen=True)
class Sound:
    """What is heard of T video frames.

    Attributes:
        heard: ``[T, 16]`` mouth geometry, as dubs hear it (``audio.file_ear``).
        phones: of the phone network.
        mel: ``[T, 80]`` mean of each frame's mels.
        loud: ``[4T]`` mean log-mel of each mel frame.
        clear: ``[T, 6]`` how well it can be heard (``audio.clearness``).
        lost: ``[4T]``: mel frames of digital silence.
    """

    heard: Float
    phones: HeardPhones
    mel: Float
    loud: Float
    clear: Float
    lost: Bool

    def __len__(self) -> int:
        return len(self.mel)


@dataclass(frozen=True)
class Made:
    """T frames at ``FRAME_HZ``.

    Attributes:
        coefficients: ``[T, 52]``.
        geometry: ``[T, 16]`` mouth geometry, what ``lips`` paints from.
        joint: ``[T, D]`` the mouth feature.
    """

    coefficients: Float
    geometry: Float
    joint: Float


class Multimodal:
    """Loads what it needs when it needs it.

    Args:
        threads: CPU threads of each network; by default those of ``weights.session``.
        folder: where its own weights lie; what it hears with is the shipped one.

    Attributes:
        rate_hz: rows per second.

    Raises:
        WeightError: weights are missing or damaged.
    """

    def __init__(self, threads: int | None = None, folder: Path | None = None) -> None:
        self._threads, self._folder = threads, folder
        self._session, self.card = weights.session(NAME, threads=threads, folder=folder)
        self.dimensions: dict[str, Any] = self.card["dimensions"]
        self.rate_hz = Fraction(self.dimensions["rate_hz"])
        self._ears: tuple[FileEar, PhoneEar] | None = None
        self._looker: Any = None

    def hear(self, samples: Float) -> Sound:
        """Listen to ``[N]`` samples at ``SAMPLE_HZ``: as many frames as begin in them, at least one.

        Raises:
            WeightError: what it hears with is missing, damaged or of another front.
        """
        if self._ears is None:
            shared = FileEar(self._threads)
            self._ears = shared, PhoneEar(shared.front, self._threads, self._folder)
        shared, ear = self._ears
        frames = max(1, -(-len(samples) // SAMPLES_PER_FRAME))
        mel = frame_mels(log_mel(samples), frames)
        # The front hears once, for both.
        rows = _long(shared.front.hear(samples), frames, WIDTH)
        phones = ear.hear(rows)
        means = mel.reshape(frames, MELS_PER_FRAME, -1).mean(1)
        lost = mel.max(1) < SILENT_MEL + NEARLY
        clear = clearness(mel, phones.log_probs)
        return Sound(shared.hear_rows(rows, mel), phones, means, mel.mean(1), clear, lost)

    def make(
        self, *, classes: NDArray[np.int64] | None = None, sound: Sound | None = None, looked: Looked | None = None
    ) -> Made:
        """Join what is there. Beside a text, clear sound counts for itself as well (``infer.multimodal_trust``).

        Args:
            classes: ``[M]`` mouth classes said, a hundred a second (``text.align``), or ``[K, M]`` of several
                placements.
            sound: from ``hear``. looked: of a mouth video. Shorter ones are missing at the end.

        Raises:
            ValueError: nothing is given.
        """
        made = self._join(classes, sound, looked)
        if classes is None or sound is None:
            return made
        heard = self._join(None, sound, None)
        few = len(sound)
        share = heard_share(sound.clear)[:, None]
        if looked is not None:
            # What is seen tells more than either.
            share[: len(looked)][looked.found[:few]] = 0
        rows = [one.copy() for one in (made.coefficients, made.geometry)]
        for one, alone in zip(rows, (heard.coefficients, heard.geometry), strict=True):
            one[:few] += share * (alone - one[:few])
        return Made(rows[0], rows[1], made.joint)

    def _join(self, classes: NDArray[np.int64] | None, sound: Sound | None, looked: Looked | None) -> Made:
        lengths = [len(one) for one in (sound, looked) if one is not None]
        if not lengths and classes is None:
            raise ValueError("give classes, sound or looked")
        said = 0 if classes is None else classes.shape[-1]
        frames = max(lengths) if lengths else -(-said // MELS_PER_FRAME)
        size = self.dimensions
        given = {
            "text": np.zeros((frames, size["text"]), np.float32) if classes is None else text_rows(classes, frames),
            "heard": _long(None if sound is None else sound.heard, frames, size["heard"]),
            "trunk": _long(None if sound is None else sound.phones.trunk, frames, size["trunk"]),
            "mel": _long(None if sound is None else sound.mel, frames, size["bands"]),
            "clear": _long(None if sound is None else sound.clear, frames, CLEAR),
            "seen": _long(None if looked is None else self._look(looked), frames, size["seen"]),
            "present": np.zeros((frames, 3), np.float32),
        }
        given["present"][:, 0] = classes is not None
        given["present"][: 0 if sound is None else len(sound), 1] = 1
        if looked is not None:
            given["present"][: len(looked), 2] = looked.found[:frames]
        parts = []
        for first in range(0, frames, AT_ONCE):
            low, high = max(0, first - REACH), min(frames, first + AT_ONCE + REACH)
            told = self._session.run(None, {name: given[name][None, low:high] for name in given})
            parts.append([one[0, first - low : first - low + AT_ONCE] for one in told])
        return Made(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))

    def _look(self, looked: Looked) -> Float:
        if self._looker is None:
            self._looker, _ = weights.session(MOUTH_NAME, threads=self._threads, folder=self._folder)
        even = even_light(looked.pictures, looked.found)
        parts = [
            self._looker.run(None, {"pictures": even[first : first + PICTURES_AT_ONCE]})[0][0]
            for first in range(0, len(even), PICTURES_AT_ONCE)
        ]
        return np.concatenate(parts)


def _long(rows: Float | None, frames: int, width: int) -> Float:
    made = np.zeros((frames, width), np.float32)
    if rows is not None:
        made[: min(frames, len(rows))] = rows[:frames]
    return made


def check_lengths(sound_s: float, video_s: float, video: Path) -> None:
    """A mouth video of another length is of another speech.

    Raises:
        OptionError: they differ.
    """
    if abs(sound_s - video_s) > max(LENGTHS_DIFFER_S, 0.02 * sound_s):
        raise OptionError(
            f"--mouth-video {video}: {video_s:.2f} s long, the speech {sound_s:.2f} s; give the video of this speech"
        )


def place_text(
    transcript: Transcript, language: str, sound: Sound | None
) -> tuple[NDArray[np.int64], Alignment | None]:
    """Mouth classes of a transcript: ``[K, M]``, placements on the sound, or ``[M]`` as espeak-ng says it without one.

    Raises:
        OptionError: unknown language, espeak-ng is missing, or the text does not go onto the sound.
    """
    with Pronouncer(language) as pronouncer:
        if sound is not None:
            found = align(sound.phones.log_probs, transcript, pronouncer, sound.lost, PLACEMENTS, sound.loud)
            return found.several, found
        if not transcript.timed:
            check_length(transcript.text, LONGEST_S, transcript.source)
            spoken = pronouncer.spoken(transcript.text)
            _check_end(len(spoken) / MEL_HZ, transcript)
            return spoken, None
        _check_end(max(cue.end_s or 0.0 for cue in transcript.cues), transcript)
        return _timed(transcript, pronouncer), None


def _check_end(seconds: float, transcript: Transcript) -> None:
    if seconds > LONGEST_S:
        raise OptionError(
            f"{transcript.source}: lasts {seconds / 60:.0f} minutes; without a speech at most {LONGEST_S // 60:.0f}: "
            "give it in parts"
        )


def _timed(transcript: Transcript, pronouncer: Pronouncer) -> NDArray[np.int64]:
    """Cues whose times are known, without a sound: each said evenly within them."""
    last = max(cue.end_s or 0.0 for cue in transcript.cues)
    classes = np.full(max(1, round(last * MEL_HZ)), REST, np.int64)
    for cue in transcript.cues:
        assert cue.start_s is not None and cue.end_s is not None
        said = pronouncer.spoken(cue.text)
        first, end = round(cue.start_s * MEL_HZ), min(len(classes), round(cue.end_s * MEL_HZ))
        if len(said) and end > first:
            classes[first:end] = said[np.arange(end - first) * len(said) // (end - first)]
    return classes
