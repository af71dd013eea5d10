"""Speech with mouth classes for every mel frame: synthesised in many languages and voices, and labelled recordings."""

from __future__ import annotations

import csv
import io
import random
import wave
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy.signal import resample_poly

from kouxing.audio.features import log_mel
from kouxing.errors import NO_ARRAYS, DataError
from kouxing.media.aside import keeping, write_arrays
from kouxing.media.reader import load_sound
from kouxing.text import mbrola
from kouxing.text.labels import read_phones
from kouxing.text.passages import LANGUAGES, passage
from kouxing.text.phones import Phone, mouth_classes
from kouxing.text.speak import Speaker, Voice
from kouxing.types import Float
from kouxing.units import MEL_HZ, MELS_PER_FRAME, SAMPLE_HZ, SAMPLES_PER_FRAME

Progress = Callable[[int, int], None]
T = TypeVar("T")
VERSION = 1
HELD_OUT = 3
"""Every third labelled recording is kept from training, wherever it is heard: judges take the same ones."""
VARIANTS = (
    "", *(f"m{n}" for n in range(1, 9)), *(f"f{n}" for n in range(1, 6)), "klatt", "klatt2", "klatt3", "klatt4",
    "adam", "anika", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "gustave", "iven", "john",
    "linda", "max", "michel", "miguel", "norbert", "pablo", "paul", "quincy", "rob", "robert", "sandro", "shelby",
    "steph", "travis", "victor", "zac", "Alex", "Alicia", "Andrea", "Denis", "Diogo", "Gene", "Hugo", "Jacky",
    "Lee", "Mario", "Michael",
)  # fmt: skip
"""espeak-ng's voice variants: other formants, bandwidths and sources."""


@dataclass(frozen=True)
class PhoneClip:
    """Speech of M mel frames whose phones are known.

    Attributes:
        name: where it is from.
        mel: ``[M, 80] float32``.
        classes: ``[M] int64`` places in ``text.phones.MOUTHS``.
    """

    name: str
    mel: Float
    classes: np.ndarray


@dataclass(frozen=True)
class PhoneSound:
    """The same, as it sounds: T whole video frames.

    Attributes:
        name: where it is from.
        samples: ``[T * SAMPLES_PER_FRAME] float32`` at ``SAMPLE_HZ``.
        classes: ``[4T] int64``.
    """

    name: str
    samples: Float
    classes: np.ndarray


def clip_of(name: str, samples: Float, rate_hz: int, phones: list[Phone], alphabet: str = "ipa") -> PhoneClip:
    """Mel and classes of ``samples [N]`` at ``rate_hz``."""
    mel = log_mel(_resampled(samples, rate_hz))
    # The class of a mel frame is what sounds in its middle.
    steps = mouth_classes(phones, len(mel), MEL_HZ, alphabet)
    return PhoneClip(name, mel, np.array(steps, np.int64))


def sound_of(name: str, samples: Float, rate_hz: int, phones: list[Phone], alphabet: str = "ipa") -> PhoneSound:
    """Sound and classes of the whole video frames of ``samples [N]`` at ``rate_hz``."""
    sound = _resampled(samples, rate_hz)
    frames = len(sound) // SAMPLES_PER_FRAME
    steps = mouth_classes(phones, frames * MELS_PER_FRAME, MEL_HZ, alphabet)
    return PhoneSound(name, np.asarray(sound[: frames * SAMPLES_PER_FRAME], np.float32), np.array(steps, np.int64))


def _resampled(samples: Float, rate_hz: int) -> Float:
    if rate_hz == SAMPLE_HZ:
        return samples
    common = int(np.gcd(rate_hz, SAMPLE_HZ))
    return np.asarray(resample_poly(samples, SAMPLE_HZ // common, rate_hz // common), np.float32)


def synthesise(count: int, seed: int, progress: Progress | None = None, *, of: Callable[..., T]) -> list[T]:
    """``count`` utterances by espeak-ng: language, variant, rate, pitch and text drawn at random.

    Args:
        count: utterances. seed: source of chance. progress: called with (done, in all).
        of: what is made of each: ``clip_of`` or ``sound_of``.

    Raises:
        OptionError: espeak-ng is not installed.
    """
    rng = random.Random(seed)
    clips: list[T] = []
    with Speaker() as speaker:
        for number in range(count):
            language, variant = rng.choice(LANGUAGES), rng.choice(VARIANTS)
            voice = Voice(
                f"{language}+{variant}" if variant else language,
                rate=rng.randint(110, 240),
                pitch=rng.randint(10, 90),
                lively=rng.randint(20, 90),
            )
            spoken = speaker.speak(passage(language, rng), voice)
            if len(spoken.samples) > spoken.rate_hz // 4:
                clips.append(of(voice.name, spoken.samples, spoken.rate_hz, list(spoken.phones)))
            if progress:
                progress(number + 1, count)
    return clips


def synthesise_people(count: int, seed: int, progress: Progress | None = None, *, of: Callable[..., T]) -> list[T]:
    """``synthesise`` by MBROLA, whose voices are cut from real speakers; empty where it is not installed."""
    rng = random.Random(seed)
    voices = mbrola.voices()
    clips: list[T] = []
    for number in range(count if voices else 0):
        name = rng.choice(list(voices))
        text = passage(_passage_language(voices[name]), rng)
        spoken = mbrola.sounds(text, name, rng.randint(110, 240), rng.randint(20, 80))
        if len(spoken.phones) > 3:
            with wave.open(io.BytesIO(mbrola.wave(spoken, name, rng.uniform(0.75, 1.35)))) as file:
                raw, rate = file.readframes(file.getnframes()), file.getframerate()
            samples = np.frombuffer(raw, "<i2").astype(np.float32) / 32768
            try:
                clips.append(of(f"mbrola {name}", samples, rate, list(spoken.phones), "sampa"))
            except DataError:
                # Few voices have letters of their own: what holds one is left out.
                continue
        if progress:
            progress(number + 1, count)
    return clips


def _passage_language(language: str) -> str:
    """A language there are words of: the same, its nearest, or one that is written as it is spoken."""
    near = [one for one in LANGUAGES if one.split("-")[0] == language.split("-")[0]]
    return language if language in LANGUAGES else (near or ["id"])[0]


def cached(
    path: Path,
    count: int,
    seed: int,
    progress: Progress | None = None,
    make: Callable[[int, int, Progress | None], list[PhoneClip]] | None = None,
) -> list[PhoneClip]:
    """``make`` (by default ``synthesise``), kept in the file ``path``; made again when it was made otherwise."""
    key = f"{VERSION} {count} {seed}"
    with suppress(*NO_ARRAYS), np.load(path, allow_pickle=False) as file:
        if str(file["key"]) == key:
            return _unpack(file["names"], file["lengths"], file["mel"], file["classes"])
    clips = (make or partial(synthesise, of=clip_of))(count, seed, progress)
    if not clips:
        return []
    with keeping(path, shared=True) as part:
        told = {
            "key": np.array(key),
            "names": np.array([clip.name for clip in clips]),
            "lengths": np.array([len(clip.mel) for clip in clips]),
            "mel": np.concatenate([clip.mel for clip in clips]).astype(np.float16),
            "classes": np.concatenate([clip.classes for clip in clips]).astype(np.int8),
        }
        write_arrays(part, told)
    return clips


def _unpack(names: np.ndarray, lengths: np.ndarray, mel: np.ndarray, classes: np.ndarray) -> list[PhoneClip]:
    ends = np.cumsum(lengths)
    return [
        PhoneClip(str(name), mel[end - length : end].astype(np.float32), classes[end - length : end].astype(np.int64))
        for name, length, end in zip(names, lengths, ends, strict=True)
    ]


def set_apart(made: list[T], labelled: list[T]) -> tuple[list[T], list[T], list[T]]:
    """What to learn from of synthesised and of labelled speech, and what is held out: every ``HELD_OUT``-th labelled
    recording, from the first on, or some of what was made where nothing is labelled.

    Args:
        made: synthesised. labelled: all of ``load_labelled``, in its order.
    """
    held_out = labelled[::HELD_OUT] or made[::20]
    kept = {id(one) for one in held_out}
    learned, real = ([one for one in some if id(one) not in kept] for some in (made, labelled))
    return learned, real, held_out


def load_labelled(data: Path, of: Callable[..., T]) -> list[T]:
    """Real recordings with phone labels in ``data/phones`` (manifest columns ``id``, ``labels``).

    Args:
        data: data folder. of: what is made of each: ``clip_of`` or ``sound_of``.

    Returns:
        Empty where the data folder has no such recordings; those with words only are left out.

    Raises:
        DataError: a label file cannot be read.
    """
    folder = data / "phones"
    manifest = folder / "manifest.csv"
    if not manifest.exists():
        return []
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clips: list[T] = []
    for row in rows:
        name, labels = row.get("id") or "", row.get("labels") or ""
        if not name or Path(name).name != name or Path(labels).name != labels:
            raise DataError(f"{manifest}: id {name!r} or labels {labels!r} is not a plain file name")
        phones, alphabet = read_phones(folder / labels)
        if phones:
            sound = load_sound(folder / f"{name}.flac", SAMPLE_HZ)
            clips.append(of(name, sound.samples, SAMPLE_HZ, phones, alphabet))
    return clips
