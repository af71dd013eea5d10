"""Text, sound and mouth video, any of them -> a coefficient track, for ``animate``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kouxing.audio.phone_ear import SPOKEN, placed, spoken
from kouxing.errors import NoSoundError, OptionError
from kouxing.face.closure import lip_distance
from kouxing.infer.blinks import Blinks
from kouxing.infer.multimodal import LONGEST_S, Made, Multimodal, Sound, check_lengths, place_text
from kouxing.infer.multimodal_look import Looked, look
from kouxing.infer.multimodal_trust import FOLLOWS, followed
from kouxing.infer.rate import RateChange
from kouxing.infer.rest import FRONT_LIMITS, Rest
from kouxing.media.reader import read_sound
from kouxing.text.align import check_length, same
from kouxing.text.phones import REST
from kouxing.text.pronounce import Pronouncer
from kouxing.text.script import check_script
from kouxing.text.transcripts import Transcript, has_letters, read_transcript, words_of
from kouxing.types import Bool, CoefficientTrack, Float
from kouxing.units import COEFFICIENT_HZ, FRAME_HZ, MELS_PER_FRAME, SAMPLE_HZ

AHEAD = 60 * FRAME_HZ
"""Frames of sound (a minute) behind a row that tell what is loud and quiet around it."""
BLINKS = 0
LIKELY = 0.25
"""Share of a text's placements in which somebody speaks, from which on the mouth is not shut for want of sound."""

Progress = Callable[[str, int, "int | None"], None]


@dataclass(frozen=True)
class Modalities:
    """What ``animate`` and ``dub`` are given beside, or instead of, speech.

    Attributes:
        text: what is said, or a transcript file.
        language: espeak-ng's name of the text's language.
        mouth_video: the same speech, seen.
    """

    text: str | Path | None = None
    language: str = "en"
    mouth_video: Path | None = None

    @classmethod
    def of(cls, text: str | Path | None, language: str | None, mouth_video: str | Path | None) -> Modalities:
        """From what a caller gives.

        Raises:
            OptionError: a language, but no text.
        """
        if text is None and language is not None:
            raise OptionError(f"--language {language}: names the language of --text; give that too, or leave it out")
        seen = None if mouth_video is None else Path(mouth_video)
        return cls(text, cls.language if language is None else language, seen)

    def __bool__(self) -> bool:
        return self.text is not None or self.mouth_video is not None

    def transcript(self) -> Transcript | None:
        """The text, read; None without one.

        Raises:
            OptionError: no word in it, or not in letters that its language is written in.
            DataError: the file is missing, too large or not what its ending says.
        """
        if self.text is None:
            return None
        transcript = read_transcript(self.text)
        check_script(transcript.text, self.language, transcript.source)
        return transcript


@dataclass(frozen=True)
class Joined:
    """What came of them.

    Attributes:
        made: rows at ``FRAME_HZ``, lips at rest where nobody speaks.
        seconds: of the whole.
        speaking: ``[T]``: where text or pictures say what the mouth does.
        spent_s: that the networks took.
        warnings: what the user should know.
        phones: ``[T, SPOKEN]`` from ``phones_said``.
    """

    made: Made
    speaking: Bool
    seconds: float
    spent_s: float
    warnings: tuple[str, ...]
    phones: Float

    def track(self) -> CoefficientTrack:
        """60 rows a second, with blinks."""
        rate = RateChange(Fraction(FRAME_HZ), Fraction(COEFFICIENT_HZ))
        rows = Blinks(Fraction(FRAME_HZ), BLINKS).add(self.made.coefficients)
        made = rate.push(rows)
        total = max(1, int(np.ceil(self.seconds * COEFFICIENT_HZ - 1e-6)))
        made = np.concatenate([made, rate.finish(total)])[:total]
        return CoefficientTrack(np.clip(made, 0, 1).astype(np.float32))


def join(
    samples: Float | None, given: Modalities, model: Multimodal, told: Progress = lambda stage, done, total: None
) -> Joined:
    """Listen, align, look, and join.

    Args:
        samples: ``[N]`` speech at ``SAMPLE_HZ``, or None.
        given: text and mouth video.
        model: ready.
        told: progress; stages ``look`` and ``listen``.

    Raises:
        OptionError: bad text, unknown language, or lengths that differ.
        MediaError: the mouth video cannot be read. NoFaceError: it shows no face.
    """
    transcript = given.transcript()
    if transcript is not None:
        # One endless word would keep espeak-ng busy.
        check_length(transcript.text, LONGEST_S if samples is None else len(samples) / SAMPLE_HZ, transcript.source)
        with Pronouncer(given.language) as pronouncer:
            # An unknown language is told before any work.
            pronouncer.ways(next(word for word in words_of(transcript.text) if has_letters(word)))
    warnings: list[str] = []
    looked = None
    if given.mouth_video is not None:
        looked = look(given.mouth_video, lambda done, total: told("look", done, total))
        if samples is not None:
            check_lengths(len(samples) / SAMPLE_HZ, len(looked) / FRAME_HZ, given.mouth_video)
        missing = float((~looked.found).mean())
        if missing > 0.1:
            warnings.append(f"{given.mouth_video}: no face in {missing:.0%} of its frames")
    began = time.perf_counter()
    sound = None if samples is None else model.hear(samples)
    classes = None
    if transcript is not None:
        classes, found = place_text(transcript, given.language, sound)
        if found is not None and not same(found):
            warnings.append(_not_said(transcript, looked is not None))
            classes = None
    if given.mouth_video is not None and looked is not None and sound is not None:
        warnings += _unlike(model, sound, looked, given.mouth_video)
    made = model.make(classes=classes, sound=sound, looked=looked)
    said = speaking(classes, looked, len(made.coefficients))
    if samples is not None:
        made = rested(made, samples, said)
    spent = time.perf_counter() - began
    frames = len(made.coefficients)
    told("listen", frames, frames)
    seconds = frames / FRAME_HZ if samples is None else len(samples) / SAMPLE_HZ
    return Joined(made, said, seconds, spent, tuple(warnings), phones_said(classes, sound, frames))


def _unlike(model: Multimodal, sound: Sound, looked: Looked, video: Path) -> list[str]:
    """Lips of other words lead all the same, but not without a word."""
    frames = min(len(sound), len(looked))
    seen, heard = (
        lip_distance(made.coefficients)[:frames] for made in (model.make(looked=looked), model.make(sound=sound))
    )
    lost = sound.lost.reshape(-1, MELS_PER_FRAME).all(1)[:frames]
    share = followed(seen, heard, looked.found[:frames] & ~lost)
    if share is None or share >= FOLLOWS:
        return []
    return [f"{video}: its lips do not follow the sound; is it the video of this speech?"]


def _not_said(transcript: Transcript, seen: bool) -> str:
    rest = "the sound and the mouth video count" if seen else "the sound counts"
    return f"{transcript.source}: these words could not be found in the sound; {rest}, the text does not"


def phones_said(classes: NDArray[np.int64] | None, sound: Sound | None, frames: int) -> Float:
    """How likely each mouth class is said, by the text if there is one, else by the sound: ``[frames, SPOKEN]``."""
    if classes is not None:
        return placed(classes, frames)
    heard = np.zeros((0, SPOKEN), np.float32) if sound is None else spoken(sound.phones.log_probs)[:frames]
    return np.pad(heard, ((0, frames - len(heard)), (0, 0)))


def speaking(classes: np.ndarray | None, looked: Looked | None, frames: int) -> Bool:
    """Where text or pictures say what the mouth does, whatever is heard: ``[frames]``."""
    speaking = np.zeros(frames, bool)
    if classes is not None:
        share = (np.atleast_2d(classes) != REST).mean(0)[: frames * MELS_PER_FRAME]
        share = np.pad(share, (0, frames * MELS_PER_FRAME - len(share)))
        speaking |= (share.reshape(frames, MELS_PER_FRAME) > LIKELY).any(1)
    if looked is not None:
        speaking[: len(looked)] |= looked.found[:frames]
    return speaking


def rested(made: Made, samples: Float, speaking: Bool) -> Made:
    """Lips shut where the sound is silent and nothing else says otherwise."""
    rest = Rest(min(len(made.coefficients), AHEAD), FRONT_LIMITS)
    rest.hear(samples)
    rest.finish()
    shut = rest.shut(made.coefficients)
    return Made(np.where(speaking[:, None], made.coefficients, shut), made.geometry, made.joint)


def load_samples(source: Path) -> Float:
    """All of a file's sound, checked.

    Raises:
        MediaError: it cannot be read; NoSoundError where there is none. OptionError: it is too long.
    """
    parts, heard = [], 0
    for chunk in read_sound(source, SAMPLE_HZ):
        parts.append(np.asarray(chunk, np.float32))
        heard += len(chunk)
        if heard > LONGEST_S * SAMPLE_HZ:
            raise OptionError(f"{source}: longer than {LONGEST_S // 60} minutes; with --text or --mouth-video cut it")
    if not heard:
        raise NoSoundError(f"{source}: its sound is 0 s long; give a file with speech")
    return np.concatenate(parts)
