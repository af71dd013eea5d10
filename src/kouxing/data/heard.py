"""What a frozen speech encoder hears in takes, computed once in several augmented versions, and windows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kouxing.arkit import COEFFICIENTS, EMOTIONS
from kouxing.data import augment
from kouxing.data.animate import Take, drawn, put_silence
from kouxing.face.emotions import with_emotion
from kouxing.models.expression import listen, statistics
from kouxing.models.speech import Ears, SpeechEncoder
from kouxing.types import Float
from kouxing.units import FRAME_HZ, MELS_PER_FRAME

Batch = dict[str, Tensor]

PIECE = 10 * FRAME_HZ
"""Longer takes are heard in pieces of so many frames: batches stay even."""
TOGETHER = 24
EMOTIONAL = 0.5
"""Share of samples that get an emotion put on."""


@dataclass(frozen=True)
class Heard:
    """One version of one piece of a take.

    Attributes:
        take: place of the take.
        features: ``[T, heard] float16`` of the encoder's trunk.
        rows: ``[T, 52 + 4] float32``: coefficients, gap, closed, silent, found.
    """

    take: int
    features: np.ndarray
    rows: Float


def hear_takes(
    encoder: SpeechEncoder | Ears, takes: list[Take], versions: int, seed: int, report: Callable[[str], None] = print
) -> list[Heard]:
    """Every take as it is and in ``versions - 1`` augmented versions."""
    rng = np.random.default_rng(seed)
    pieces: list[tuple[int, Float, Float]] = []
    for version in range(versions):
        for place, take in enumerate(takes):
            for first in range(0, len(take), PIECE):
                mel, rows = _piece(take, first)
                if version:
                    mel, rows = _changed(mel, rows, takes, rng)
                pieces.append((place, mel, rows))
    report(f"hearing {len(pieces)} pieces of {len(takes)} takes")
    order = sorted(range(len(pieces)), key=lambda place: len(pieces[place][2]))
    made = []
    for first in range(0, len(order), TOGETHER):
        made += _hear(encoder, [pieces[place] for place in order[first : first + TOGETHER]])
    return made


def _piece(take: Take, first: int) -> tuple[Float, Float]:
    near = slice(first, first + PIECE)
    columns = (take.values, take.gap, take.closed, take.silent, take.found)
    rows = np.column_stack([column[near] for column in columns]).astype(np.float32)
    return take.mel[first * MELS_PER_FRAME : (first + len(rows)) * MELS_PER_FRAME], rows


def _changed(mel: Float, rows: Float, takes: list[Take], rng: augment.Rng) -> tuple[Float, Float]:
    mel, rows = augment.tempo(mel, rows, rng)
    mel = augment.voice(mel, rng)
    if rng.random() < 0.2:
        mel, rows, _ = put_silence(mel, rows, rng)
    other = takes[rng.integers(len(takes))].mel
    noise = other if rng.random() < 0.4 else augment.hiss(len(mel), rng)
    return augment.recording(mel, np.resize(noise, mel.shape), rng), rows


@torch.no_grad()
def _hear(encoder: SpeechEncoder | Ears, pieces: list[tuple[int, Float, Float]]) -> list[Heard]:
    half = listened(encoder, [sound for _, sound, _ in pieces]).half().numpy()
    return [Heard(take, half[row, : len(rows)].copy(), rows) for row, (take, _, rows) in enumerate(pieces)]


@torch.no_grad()
def listened(encoder: SpeechEncoder | Ears, sounds: list[Float]) -> Tensor:
    """What the trunk hears in rows of sound ``[n, bands]``, quiet around each: ``[B, longest, heard]``."""
    size, longest = encoder.dimensions, max(-(-len(sound) // encoder.dimensions.steps) for sound in sounds)
    whole = np.full((len(sounds), size.context_rows + longest * size.steps, size.bands), size.quiet, np.float32)
    for row, sound in enumerate(sounds):
        whole[row, size.before_rows : size.before_rows + len(sound)] = sound
    features, _ = listen(encoder, torch.from_numpy(whole), encoder.initial_state(len(sounds)))
    return features


class HeardWindows:
    """Endless random batches of windows; batch ``n`` depends only on (seed, n).

    Args:
        takes: for shares, channels and speakers.
        heard: from ``hear_takes``.
        frames: length of a window.
        batch: windows per batch.
        seed: source of chance.
    """

    def __init__(self, takes: list[Take], heard: list[Heard], frames: int, batch: int, seed: int) -> None:
        self._takes, self._heard = takes, heard
        self._frames, self._batch, self._seed = frames, batch, seed
        share, count = drawn(takes), np.zeros(len(takes))
        for one in heard:
            count[one.take] += len(one.rows)
        weight = np.array([share[one.take] * len(one.rows) / count[one.take] for one in heard])
        self._share = weight / weight.sum()
        names = sorted({take.speaker for take in takes})
        self.speakers = {name: place for place, name in enumerate(names)}
        self._statistics = torch.stack([statistics(torch.from_numpy(take.values[take.found])) for take in takes])

    @property
    def statistics(self) -> Tensor:
        """``[takes, 104]``, see ``models.expression.statistics``."""
        return self._statistics

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: heard ``[B, T, heard]``, emotion ``[B, T, 7]``, values ``[B, T, 52]``, channels
        ``[B, 52]``, speaker ``[B]``, statistics ``[B, 104]``, gap, closed, silent, mask ``[B, T]``."""
        rng = np.random.default_rng([self._seed, number])
        places = rng.choice(len(self._heard), self._batch, p=self._share)
        rows = [self._sample(self._heard[place], rng) for place in places]
        batch = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
        return batch | {"statistics": self._statistics[[self._heard[place].take for place in places]]}

    def _sample(self, one: Heard, rng: augment.Rng) -> dict[str, np.ndarray]:
        take, width = self._takes[one.take], len(COEFFICIENTS)
        first = int(rng.integers(0, max(1, len(one.rows) - self._frames + 1)))
        count = min(self._frames, len(one.rows) - first)
        features = np.zeros((self._frames, one.features.shape[1]), np.float32)
        features[:count] = one.features[first : first + count]
        rows = np.zeros((self._frames, one.rows.shape[1]), np.float32)
        rows[:count] = one.rows[first : first + count]
        emotion = _emotion(self._frames, rng)
        channels = take.channels.astype(np.float32)
        if emotion[:, 1:].any():
            rows[:, :width] = with_emotion(rows[:, :width], emotion)
        return {
            "heard": features, "emotion": emotion, "values": rows[:, :width], "channels": channels,
            "speaker": np.array(self.speakers[take.speaker]), "gap": rows[:, width],
            "closed": (rows[:, width + 1] > 0.5).astype(np.float32),
            "silent": (rows[:, width + 2] > 0.5).astype(np.float32),
            "mask": (rows[:, width + 3] > 0.5).astype(np.float32),
        }  # fmt: skip


def _emotion(frames: int, rng: augment.Rng) -> Float:
    """``[frames, 7]``: neutral, one emotion, or a mixture of two; in a third of the cases changing on the way."""
    shares = np.zeros((frames, len(EMOTIONS)), np.float32)
    shares[:, 0] = 1
    if rng.random() >= EMOTIONAL:
        return shares
    ends = np.stack([_mixture(rng) for _ in range(2)])
    if rng.random() < 0.67:
        ends[1] = ends[0]
    way = np.clip((np.arange(frames) - rng.integers(0, frames)) / 6.0 + 0.5, 0, 1)[:, None]
    return np.asarray(ends[0] * (1 - way) + ends[1] * way, np.float32)


def _mixture(rng: augment.Rng) -> Float:
    shares = np.zeros(len(EMOTIONS), np.float32)
    chosen = rng.choice(np.arange(1, len(EMOTIONS)), 2, replace=False)
    strength, part = rng.uniform(0.2, 1), rng.uniform(0, 1) if rng.random() < 0.3 else 1.0
    shares[chosen] = strength * part, strength * (1 - part)
    shares[0] = 1 - shares[1:].sum()
    return shares
