"""Speech whose phones are known, as it sounds, and what the front hears of it in several versions."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kouxing.audio.front import Front
from kouxing.data.footage import cache_folder
from kouxing.data.phones import PhoneSound, load_labelled, set_apart, sound_of, synthesise, synthesise_people
from kouxing.data.sound_spoil import spoiled
from kouxing.errors import NO_ARRAYS, OptionError
from kouxing.media.aside import keeping, write_arrays
from kouxing.types import Float
from kouxing.units import MELS_PER_FRAME, SAMPLES_PER_FRAME

Report = Callable[[str], None]
UTTERANCES, PEOPLE = 1500, 1500
"""What espeak-ng and MBROLA synthesise: an hour each, in two minutes."""
RULES = 2
"""Raised when sounds are made or changed otherwise."""
RANGE_DB, SHARE = (-8.0, 25.0), 0.8
"""Speech over what lies behind it, and how often something does."""


@dataclass(frozen=True)
class PhoneSounds:
    """Synthesised speech, labelled recordings, and those that are held out."""

    made: list[PhoneSound]
    labelled: list[PhoneSound]
    held_out: list[PhoneSound]


@dataclass(frozen=True)
class PhoneRows:
    """What the front hears of T video frames of speech.

    Attributes:
        versions: each ``[T, WIDTH] float16``: as it is, then spoiled.
        classes: ``[4T] int64`` places in ``text.phones.MOUTHS``.
    """

    versions: tuple[NDArray[np.float16], ...]
    classes: NDArray[np.int64]


def load(data: Path, report: Report = print) -> PhoneSounds:
    """Synthesise, once for all runs, and read the labelled recordings; a line says what is missing."""
    folder = cache_folder(data).parent
    made: list[PhoneSound] = []
    try:
        if not (folder / "phone-sounds.npz").exists():
            report("speech with phones is synthesised, once for all runs: two minutes")
        made += _cached(folder / "phone-sounds.npz", UTTERANCES, partial(synthesise, of=sound_of))
        people = _cached(folder / "phone-sounds-people.npz", PEOPLE, partial(synthesise_people, of=sound_of))
        if not people:
            report("no voices of real people to learn phones from: MBROLA and its voices are not installed")
        made += people
    except OptionError as error:
        report(f"no synthetic speech: {error}")
    parts = set_apart(made, load_labelled(data, sound_of))
    # Less than a video frame is nothing to hear; which are held out does not depend on it.
    return PhoneSounds(*([one for one in part if len(one.samples)] for part in parts))


def _cached(path: Path, count: int, make: Callable[[int, int], list[PhoneSound]]) -> list[PhoneSound]:
    """What the file ``path`` keeps, made first where it keeps something else: the same samples every time."""
    key = f"{RULES} {count}"
    if _key(path) != key:
        sounds = make(count, 0)
        if not sounds:
            return []
        with keeping(path, shared=True) as part:
            told = {
                "key": np.array(key),
                "names": np.array([one.name for one in sounds]),
                "frames": np.array([len(one.classes) // MELS_PER_FRAME for one in sounds]),
                "samples": (np.concatenate([one.samples for one in sounds]).clip(-1, 1) * 32767).astype(np.int16),
                "classes": np.concatenate([one.classes for one in sounds]).astype(np.int8),
            }
            write_arrays(part, told)
    with np.load(path, allow_pickle=False) as file:
        return _unpacked(*(file[name] for name in ("names", "frames", "samples", "classes")))


def _key(path: Path) -> str | None:
    """Of what the file keeps; None where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(file["key"])
    except NO_ARRAYS:
        return None


def _unpacked(
    names: NDArray[np.str_], frames: NDArray[np.int64], samples: NDArray[np.int16], classes: NDArray[np.int8]
) -> list[PhoneSound]:
    ends = np.cumsum(frames)
    made = []
    for name, first, last in zip(names, ends - frames, ends, strict=True):
        sound = samples[first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME].astype(np.float32) / 32767
        said = classes[first * MELS_PER_FRAME : last * MELS_PER_FRAME].astype(np.int64)
        made.append(PhoneSound(str(name), sound, said))
    return made


def hear(
    sounds: Sequence[PhoneSound], front: Front, versions: int, seed: int, kept: Path | None = None,
    report: Report = print,
) -> list[PhoneRows]:  # fmt: skip
    """What the front hears of each, as it is and in ``versions - 1`` spoiled versions.

    Args:
        sounds: speech; each may lie behind the others.
        front: of files.
        versions: how many.
        seed: source of chance.
        kept: file in which that is kept; made anew where it is of other sounds or of another front.
        report: where progress goes.
    """
    if not sounds:
        return []
    heard = 0
    for one in sounds:
        heard = zlib.crc32(np.ascontiguousarray(one.samples).tobytes(), heard)
    key = f"{RULES} {versions} {seed} {front.card['sha256']} {len(sounds)} {heard:08x}"
    bounds = np.cumsum([len(one.classes) // MELS_PER_FRAME for one in sounds])[:-1]
    if kept is not None:
        with suppress(*NO_ARRAYS), np.load(kept, allow_pickle=False) as file:
            if str(file["key"]) == key:
                return _rows([file[f"rows{n}"] for n in range(versions)], bounds, sounds)
    rng = np.random.default_rng(seed)
    others = [one.samples for one in sounds if len(one.samples)]
    told = []
    for number in range(versions):
        report(f"hearing {len(sounds)} utterances, version {number + 1} of {versions}")
        told.append(np.concatenate([_heard(front, one.samples, others if number else [], rng) for one in sounds]))
    if kept is not None:
        with keeping(kept, shared=True) as part:
            write_arrays(part, {"key": np.array(key), **{f"rows{n}": rows for n, rows in enumerate(told)}})
    return _rows(told, bounds, sounds)


def _heard(front: Front, samples: Float, others: Sequence[Float], rng: np.random.Generator) -> NDArray[np.float16]:
    return front.hear(spoiled(samples, others, rng, RANGE_DB, SHARE) if others else samples).astype(np.float16)


def _rows(
    told: Sequence[NDArray[np.float16]], bounds: NDArray[np.int64], sounds: Sequence[PhoneSound]
) -> list[PhoneRows]:
    several = zip(*(np.split(rows, bounds) for rows in told), strict=True)
    return [PhoneRows(versions, one.classes) for versions, one in zip(several, sounds, strict=True)]
