"""Speech whose mouth classes are known, spoiled more than elsewhere: what an aligner has to hear in noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kouxing.audio.features import SILENT_MEL
from kouxing.data import augment, sync_augment
from kouxing.data.animate import Take
from kouxing.data.phones import PhoneClip
from kouxing.text.align import align
from kouxing.text.pronounce import Pronouncer
from kouxing.text.transcripts import Transcript, read_transcript
from kouxing.types import Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME

Batch = dict[str, Tensor]
Hear = Callable[[Float], Float]
"""Mel ``[M, 80]`` -> log probabilities of mouth classes ``[M, classes]``."""

UNKNOWN = -100
LOWEST_DB, HIGHEST_DB = -8.0, 25.0
"""Loud speech over its background."""
SHARES = {"made": 0.45, "labelled": 0.2, "words": 0.35}


def transcripts(data: Path, takes: Sequence[Take]) -> dict[str, Transcript]:
    """Transcripts with word times of the takes that have one: ``align/<id>.align``.

    Raises:
        DataError: one cannot be read.
    """
    paths = {take.name: data / "align" / f"{take.name}.align" for take in takes}
    return {name: read_transcript(path) for name, path in paths.items() if path.is_file()}


def spoken_words(hear: Hear, takes: Sequence[Take], told: dict[str, Transcript]) -> list[PhoneClip]:
    """Takes with the mouth class of every mel frame: word times as told, sounds inside them as ``hear`` hears them.

    Raises:
        OptionError: espeak-ng is not installed.
    """
    clips = []
    with Pronouncer("en") as pronouncer:
        for take in takes:
            if take.name not in told:
                continue
            mel = take.mel[: len(take.mel) // MELS_PER_FRAME * MELS_PER_FRAME]
            found = align(hear(mel), told[take.name], pronouncer, loud=mel.mean(1))
            clips.append(PhoneClip(take.name, mel, found.classes))
    return clips


class EarWindows:
    """Endless random batches; batch ``n`` depends only on (seed, n).

    Args:
        groups: by the names of ``SHARES``; an empty one leaves its share to the others.
        backgrounds: recordings that may lie under a window.
        frames, batch: size of a batch, in video frames and windows.
        around: mel frames of context before and behind.
        seed: source of chance.
    """

    def __init__(
        self, groups: dict[str, list[PhoneClip]], backgrounds: list[Float], frames: int, batch: int,
        around: tuple[int, int], seed: int,
    ) -> None:  # fmt: skip
        self._groups = [groups[name] for name in SHARES if groups.get(name)]
        share = np.array([SHARES[name] for name in SHARES if groups.get(name)])
        self._share = share / share.sum()
        self._backgrounds, self._frames, self._batch, self._around, self._seed = (
            backgrounds, frames, batch, around, seed
        )  # fmt: skip

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: mel ``[B, before + 4T + after, 80]``, classes ``[B, 4T] int64``, ``UNKNOWN`` beyond."""
        rng = np.random.default_rng([self._seed, number])
        rows = [self._window(rng) for _ in range(self._batch)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _window(self, rng: augment.Rng) -> dict[str, np.ndarray]:
        clips = self._groups[rng.choice(len(self._groups), p=self._share)]
        clip = clips[rng.integers(len(clips))]
        mels = self._frames * MELS_PER_FRAME
        first = int(rng.integers(0, max(1, len(clip.mel) - mels // 2)))
        part = slice(first, first + int(1.3 * mels) + self._around[1])
        count = max(2, round(len(clip.mel[part]) * (1 + rng.uniform(-0.2, 0.2))))
        mel = augment.resample(clip.mel[part], count)
        at = np.minimum(((np.arange(count) + 0.5) * len(clip.classes[part]) / count).astype(int), len(mel) - 1)
        classes = clip.classes[part][np.minimum(at, len(clip.classes[part]) - 1)]
        mel = spoiled(augment.voice(mel, rng), self._backgrounds, rng)
        sound = np.full((self._around[0] + mels + self._around[1], MEL_BANDS), SILENT_MEL, np.float32)
        heard = mel[: mels + self._around[1]]
        sound[self._around[0] : self._around[0] + len(heard)] = heard
        wanted = np.full(mels, UNKNOWN, np.int64)
        wanted[: min(mels, count)] = classes[:mels]
        return {"mel": sound, "classes": wanted}


def background(backgrounds: list[Float], count: int, rng: augment.Rng) -> Float:
    """Hiss, another recording, three of them at once, or music: ``[count, 80]`` log-mel."""
    kind = rng.random()
    if kind < 0.4:
        return augment.hiss(count, rng)
    if kind < 0.6:
        return sync_augment.music(count, rng)
    several = [
        np.resize(backgrounds[rng.integers(len(backgrounds))], (count, MEL_BANDS)) for _ in range(1 + 2 * (kind > 0.8))
    ]
    mixed = several[0]
    for other in several[1:]:
        mixed = sync_augment.noisy(mixed, other, 0.0)
    return mixed


def spoiled(mel: Float, backgrounds: list[Float], rng: augment.Rng) -> Float:
    """Another microphone and level; in two of three cases over a background from -8 dB on."""
    if rng.random() < 0.65:
        mel = sync_augment.noisy(mel, background(backgrounds, len(mel), rng), rng.uniform(LOWEST_DB, HIGHEST_DB))
    # Never a further background: one level is drawn above.
    curve = np.interp(np.linspace(0, 5, MEL_BANDS), np.arange(6), rng.normal(0, 0.25, 6)) + rng.uniform(-1.1, 0.45)
    return np.maximum(mel + curve.astype(np.float32), SILENT_MEL).astype(np.float32)
