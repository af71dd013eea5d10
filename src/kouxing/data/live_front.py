"""Sequences of speech for the front of streams: what its stem hears, beside what the front tells of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kouxing.audio.front import WIDTH
from kouxing.audio.level import Leveller
from kouxing.audio.live_front import OWN, VIDEO, between, needed
from kouxing.types import Float
from kouxing.units import SAMPLES_PER_FRAME

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Lesson:
    """One version of one recording.

    Attributes:
        stem: ``[n, WIDTH] float16`` of its own frames.
        rows: ``[T, WIDTH] float16``: what the front tells of the video frames, knowing the whole.
    """

    stem: np.ndarray
    rows: np.ndarray


def levelled(sound: Float, frames: int) -> Float:
    """The samples that own frames of ``frames`` video frames are heard in, quiet behind the sound."""
    wanted = needed(frames)
    return Leveller().push(np.pad(sound[: frames * SAMPLES_PER_FRAME], (0, max(0, wanted - len(sound))))[:wanted])


class FrontSequences:
    """Endless batches of recordings one after the other, as a stream would hear them; batch ``n`` depends only on
    (seed, n).

    Args:
        lessons: what is drawn from, by length.
        frames: own frames of a sequence.
        batch: sequences.
        seed: source of chance.
    """

    def __init__(self, lessons: Sequence[Lesson], frames: int, batch: int, seed: int) -> None:
        self._lessons, self._frames, self._batch, self._seed = lessons, frames, batch, seed
        lengths = np.array([len(lesson.rows) for lesson in lessons], float)
        # Single words are short: the root gives them their part.
        self._shares = np.sqrt(lengths) / np.sqrt(lengths).sum()

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: stem ``[B, F, WIDTH]``; of its video frames lower and upper own frame ``[B, T]``, the
        upper's share ``[B, T]``, wanted ``[B, T, WIDTH]`` and mask ``[B, T]``."""
        rng = np.random.default_rng([self._seed, number])
        most = self._frames * VIDEO // OWN
        made: dict[str, np.ndarray] = {
            "stem": np.zeros((self._batch, self._frames, WIDTH), np.float32),
            "lower": np.zeros((self._batch, most), np.int64), "upper": np.zeros((self._batch, most), np.int64),
            "share": np.zeros((self._batch, most), np.float32), "mask": np.zeros((self._batch, most), np.float32),
            "wanted": np.zeros((self._batch, most, WIDTH), np.float32),
        }  # fmt: skip
        for row in range(self._batch):
            place = done = 0
            for stem, wanted in self._parts(rng):
                stem = stem[: self._frames - place]
                lower, upper, share = between(np.arange(len(wanted)))
                ready = min(int(np.searchsorted(upper, len(stem))), most - done)
                here = slice(done, done + ready)
                made["stem"][row, place : place + len(stem)] = stem
                made["lower"][row, here] = lower[:ready] + place
                made["upper"][row, here] = upper[:ready] + place
                made["share"][row, here], made["wanted"][row, here] = share[:ready], wanted[:ready]
                made["mask"][row, here] = 1
                place, done = place + len(stem), done + ready
                if place >= self._frames or done >= most:
                    break
        return {name: torch.from_numpy(value) for name, value in made.items()}

    def _parts(self, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            lesson = self._lessons[rng.choice(len(self._lessons), p=self._shares)]
            # Where an own frame begins with a video frame.
            first = int(rng.integers(0, len(lesson.rows) // 2 // VIDEO + 1))
            yield lesson.stem[first * OWN :], lesson.rows[first * VIDEO :]
