"""Speech whose mouth classes are known, clean and spoiled, as the front hears it: what an aligner learns from."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kouxing.audio.features import log_mel
from kouxing.data import grid
from kouxing.data.animate import Take
from kouxing.data.front import FrontSounds
from kouxing.data.phone_sounds import PhoneRows
from kouxing.data.phones import PhoneSound
from kouxing.errors import OptionError
from kouxing.text.align import Alignment, align, same
from kouxing.text.pronounce import Pronouncer
from kouxing.text.transcripts import Cue, Transcript, read_transcript, words_of
from kouxing.types import Float
from kouxing.units import MELS_PER_FRAME

Batch = dict[str, Tensor]
Rng = np.random.Generator
Hear = Callable[[Float], Float]
"""The front's rows ``[T, WIDTH]`` -> log probabilities of mouth classes ``[4T, classes]``."""

UNKNOWN = -100
SHARES = {"made": 0.4, "labelled": 0.2, "words": 0.4}
LEAST_WORDS = 3
"""A transcript of fewer words says little of where they are."""


def transcripts(data: Path, takes: Sequence[Take], texts: Path | None = None) -> dict[str, Transcript]:
    """What is said in takes, where that is known: ``align/<id>.align``, GRID's file names, ``texts/<id>.txt``.

    Args:
        data: data folder. takes: of it.
        texts: folder of further transcripts, in English.

    Raises:
        DataError, OptionError: one cannot be read.
    """
    told = {}
    sentences = grid.transcripts(data)
    for take in takes:
        path = data / "align" / f"{take.name}.align"
        if path.is_file():
            told[take.name] = read_transcript(path)
        elif take.name in sentences:
            words = " ".join(word.text for word in sentences[take.name])
            told[take.name] = Transcript((Cue(words),), take.name)
        elif texts is not None and (texts / f"{take.name}.txt").is_file():
            read = read_transcript(texts / f"{take.name}.txt")
            if len(words_of(read.text)) >= LEAST_WORDS:
                told[take.name] = read
    return told


def placed(
    hear: Hear, takes: Sequence[Take], told: Mapping[str, Transcript], sounds: FrontSounds
) -> dict[str, Alignment]:
    """Takes' words laid onto their sound; what is not said there, as far as ``hear`` hears, is left out.

    Raises:
        OptionError: espeak-ng is not installed.
    """
    made = {}
    with Pronouncer("en") as pronouncer:
        for take in takes:
            if take.name not in told:
                continue
            loud = log_mel(sounds.sound(take.name, len(take))).mean(1)[: len(take) * MELS_PER_FRAME]
            try:
                found = align(hear(sounds.rows(take.name, len(take))), told[take.name], pronouncer, loud=loud)
            except OptionError:
                # A recogniser may hear more words than there is room for.
                continue
            # Where times are told, the words were checked by who told them.
            if told[take.name].timed or same(found):
                made[take.name] = found
    return made


def spoken_words(
    hear: Hear, takes: Sequence[Take], told: Mapping[str, Transcript], sounds: FrontSounds
) -> list[PhoneSound]:
    """``placed`` as speech with phones."""
    found = placed(hear, takes, told, sounds)
    return [
        PhoneSound(take.name, sounds.sound(take.name, len(take)), found[take.name].classes)
        for take in takes
        if take.name in found and len(take)
    ]


def checksum(told: Mapping[str, Transcript]) -> str:
    """Of transcripts: what was learned from others is another run."""
    return f"{zlib.crc32(repr(sorted((name, one.cues) for name, one in told.items())).encode()):08x}"


class EarWindows:
    """Endless random batches; batch ``n`` depends only on (seed, n).

    Args:
        groups: by the names of ``SHARES``; an empty one leaves its share to the others.
        frames, batch: size of a batch, in video frames and windows.
        around: rows of context before and behind.
        seed: source of chance.
    """

    def __init__(
        self, groups: Mapping[str, Sequence[PhoneRows]], frames: int, batch: int, around: tuple[int, int], seed: int
    ) -> None:
        names = [name for name in SHARES if groups.get(name)]
        self._groups = [groups[name] for name in names]
        self._share = np.array([SHARES[name] for name in names]) / sum(SHARES[name] for name in names)
        self._frames, self._batch, self._around, self._seed = frames, batch, around, seed

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: heard ``[B, before + T + after, WIDTH]``, classes ``[B, 4T] int64``, ``UNKNOWN`` beyond."""
        rng = np.random.default_rng([self._seed, number])
        heard, classes = zip(*(self._window(rng) for _ in range(self._batch)), strict=True)
        return {"heard": torch.from_numpy(np.stack(heard)), "classes": torch.from_numpy(np.stack(classes))}

    def _window(self, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        group = self._groups[rng.choice(len(self._groups), p=self._share)]
        one = group[rng.integers(len(group))]
        rows, (before, after) = one.versions[rng.integers(len(one.versions))], self._around
        first = int(rng.integers(0, max(1, len(rows) - self._frames // 2)))
        count = min(self._frames, len(rows) - first)
        near = np.pad(rows, ((before, after), (0, 0)))[first : first + before + count + after].astype(np.float32)
        said = one.classes[first * MELS_PER_FRAME : (first + count) * MELS_PER_FRAME]
        missing = self._frames - count
        return (
            np.pad(near, ((0, missing), (0, 0))),
            np.pad(said, (0, missing * MELS_PER_FRAME), constant_values=UNKNOWN),
        )
