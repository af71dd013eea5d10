"""Stretches of mouth pictures with the phones that are said in them, for the lip reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kouxing.data import sync_augment
from kouxing.data.grid import Word, frame_phones, phones_of
from kouxing.data.mouths import Mouths
from kouxing.errors import DataError

Batch = dict[str, Tensor]

AROUND = 3
"""Frames before and behind words that belong to a stretch: mouths move ahead of the voice."""
WHOLE_SHARE = 0.4
"""How often a stretch is the whole clip; else some of its words, where their times are known."""
UNREAD_SHARE = 0.3
UNREAD_FRAMES = 28
"""Clips whose words nobody knows teach the helping head mouth geometry, of many faces, in such stretches."""
UNEVEN_SHARE = 0.3
"""How often a stretch is played with frames left out or doubled: other tempos of speech."""


class LipReadingSamples:
    """Endless random batches; batch ``n`` depends only on (seed, n).

    Args:
        mouths: clips, with and without known words.
        words: clip id -> what is said.
        count: samples of a batch.
        seed: source of chance.

    Raises:
        DataError: no clip's words are known.
    """

    def __init__(
        self, mouths: Sequence[Mouths], words: Mapping[str, Sequence[Word]], count: int, seed: int = 0
    ) -> None:
        self._read = [one for one in mouths if one.clip.id in words]
        self._unread = [one for one in mouths if one.clip.id not in words and len(one) >= UNREAD_FRAMES]
        if not self._read:
            raise DataError(
                "no clip has a transcript (align/ID.align, or a GRID file name in the manifest's source); "
                "`kouxing train lips` does without a lip reader"
            )
        self._words, self._count, self._seed = words, count, seed

    def __call__(self, number: int) -> Batch:
        """Batch ``number``.

        Returns:
            pictures ``[B, T, 48, 64] uint8`` (0 beyond a length), lengths ``[B]``, geometry ``[B, T, 16]``, known
            ``[B, T]`` (where geometry is), labels ``[B, T]`` (``data.grid.frame_phones``, -1 not known), phones
            ``[B, P]`` and counts ``[B]`` (0: not known).
        """
        rng = np.random.default_rng([self._seed, number])
        rows = [self._sample(rng) for _ in range(self._count)]
        if not any(len(row["phones"]) for row in rows):
            rows[0] = self._spoken(rng)
        return padded(rows)

    def _sample(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        if self._unread and rng.random() < UNREAD_SHARE:
            clip = self._unread[int(rng.integers(len(self._unread)))]
            first = int(rng.integers(len(clip) - UNREAD_FRAMES + 1))
            return _row(clip, first, first + UNREAD_FRAMES, (), [-1] * len(clip), rng)
        return self._spoken(rng)

    def _spoken(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        clip = self._read[int(rng.integers(len(self._read)))]
        words = tuple(self._words[clip.clip.id])
        labels = frame_phones(words, len(clip))
        first, last = 0, len(clip)
        if rng.random() >= WHOLE_SHARE and all(word.first is not None for word in words):
            start = int(rng.integers(len(words)))
            words = words[start : start + 1 + int(rng.integers(len(words) - start))]
            first = max(0, (words[0].first or 0) - int(rng.integers(1, AROUND + 1)))
            last = min(len(clip), (words[-1].last or 0) + int(rng.integers(1, AROUND + 1)))
        return _row(clip, first, last, phones_of(words), labels, rng)


def _row(
    clip: Mouths, first: int, last: int, phones: Sequence[int], labels: Sequence[int], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    places = np.arange(first, last)
    if rng.random() < UNEVEN_SHARE:
        # Each phone has to keep a frame: never shorter than 0.8 of the stretch.
        places = places[np.linspace(0, len(places) - 1, int(len(places) * rng.uniform(0.8, 1.25))).round().astype(int)]
    return {
        "pictures": sync_augment.seen(clip.pictures[places], rng, bool(rng.random() < 0.3)),
        "geometry": clip.geometry[places],
        "known": clip.found[places].astype(np.float32),
        "labels": np.array(labels, np.int64)[places],
        "phones": np.array(phones, np.int64),
    }


def padded(rows: Sequence[Mapping[str, np.ndarray]]) -> Batch:
    """Rows of different lengths as one batch, see ``LipReadingSamples.__call__``."""
    longest, most = (max(len(row[name]) for row in rows) for name in ("pictures", "phones"))
    batch = {}
    for name in ("pictures", "geometry", "known", "labels"):
        shape = (len(rows), longest, *rows[0][name].shape[1:])
        whole = np.full(shape, -1 if name == "labels" else 0, rows[0][name].dtype)
        for place, row in enumerate(rows):
            whole[place, : len(row[name])] = row[name]
        batch[name] = torch.from_numpy(whole)
    phones = np.zeros((len(rows), max(1, most)), np.int64)
    for place, row in enumerate(rows):
        phones[place, : len(row["phones"])] = row["phones"]
    return batch | {
        "phones": torch.from_numpy(phones),
        "counts": torch.tensor([len(row["phones"]) for row in rows]),
        "lengths": torch.tensor([len(row["pictures"]) for row in rows]),
    }
