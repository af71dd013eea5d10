"""Windows of (mel, mouth geometry) for the speech encoder, and of what helps it: phones and motion capture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kouxing.audio.features import SILENT_MEL
from kouxing.data import augment
from kouxing.data.animate import Take
from kouxing.data.footage import Footage
from kouxing.data.manifest import Clip
from kouxing.data.phones import PhoneClip
from kouxing.data.sync import places
from kouxing.face.closure import lip_distance
from kouxing.types import Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME

Batch = dict[str, Tensor]
Row = dict[str, np.ndarray]
GAINS = (0.6, 1.7)
"""Limits within which a speaker's mouth is brought to the usual width."""
UNKNOWN = -100
"""Class of mel frames beyond the end of a window (cross entropy leaves it out)."""


class OfClip(Protocol):
    """Frames of a clip."""

    @property
    def clip(self) -> Clip:
        """Its row of the manifest."""
        ...

    def __len__(self) -> int:
        """Frames."""
        ...


def shares(footage: Sequence[OfClip], grid: float = 0.35, words: float = 0.3) -> Float:
    """How often each clip is drawn, ``[N]``: studio, single words and the rest in fixed shares.

    Within a share, time counts, but a speaker's clips together no more than the square root of their number.
    """
    groups, speakers = (np.array([getattr(one.clip, name) for one in footage]) for name in ("group", "speaker"))
    frames = np.array([len(one) for one in footage], float)
    weight = np.empty(len(footage))
    for speaker in np.unique(speakers):
        own = speakers == speaker
        weight[own] = frames[own] / np.sqrt(frames[own].sum())
    result = np.zeros(len(footage))
    for group, share in (("grid", grid), ("words", words), ("wild", 1 - grid - words)):
        chosen = groups == group
        if chosen.any():
            result[chosen] = share * weight[chosen] / weight[chosen].sum()
    return np.asarray(result / result.sum())


def is_anchor(clip: Footage) -> bool:
    """Studio clips and single words: in step with their sound, so that they tell whether others are."""
    return clip.clip.group != "wild"


def in_step(clip: Footage, late: int) -> Footage:
    """The clip with its mouth ``late`` frames earlier, as it was late by so many; sound stays where it is."""
    if late == 0:
        return clip
    at, inside = places(len(clip), late)
    return replace(clip, geometry=clip.geometry[at], aperture=clip.aperture[at], found=clip.found[at] & inside)


def one_scale(footage: Sequence[Footage]) -> list[Footage]:
    """The clips with every speaker's mouth as wide as the usual one: how wide somebody opens cannot be heard.

    A speaker's width is the 95th percentile of the aperture over all clips; the usual one the median over speakers.
    """
    seen: dict[str, list[Float]] = {}
    for clip in footage:
        seen.setdefault(clip.clip.speaker, []).append(clip.aperture[clip.found])
    joined = {name: np.concatenate(parts) for name, parts in seen.items()}
    wide = {name: float(np.percentile(values, 95)) for name, values in joined.items() if len(values)}
    usual = float(np.median(list(wide.values()))) if wide else 1.0
    gains = {name: float(np.clip(value / usual, *GAINS)) for name, value in wide.items()}
    return [replace(clip, geometry=clip.geometry / gains.get(clip.clip.speaker, 1.0)) for clip in footage]


def _frame(mel: Float, frames: int, around: tuple[int, int]) -> Float:
    """``[before + 4 * frames + after, 80]``: mel at its beginning, silence before and behind.

    The context before the window is not given: a stream starts with silence, and so must training.
    """
    before, after = around
    whole = np.full((before + frames * MELS_PER_FRAME + after, MEL_BANDS), SILENT_MEL, np.float32)
    mel = mel[: len(whole) - before]
    whole[before : before + len(mel)] = mel
    return whole


def _stretched(mel: Float, first: int, frames: int, after: int, rng: augment.Rng, most: float) -> tuple[Float, int]:
    """Sound of ``frames`` video frames from ``first`` on and the look-ahead behind them, in another tempo.

    Returns:
        Mel, and how many video frames of it are the window.
    """
    wanted = max(1, round(frames * (1.0 + rng.uniform(-most, most))))
    # Whole frames decide the tempo, for sound and labels alike: rounding each alone would pull them apart.
    factor = wanted / frames
    sound = mel[first * MELS_PER_FRAME : (first + frames) * MELS_PER_FRAME + after]
    return augment.resample(sound, max(2, round(len(sound) * factor))), wanted


class Noises:
    """Backgrounds: another clip's sound or coloured hiss."""

    def __init__(self, footage: Sequence[Footage]) -> None:
        self._mels = [clip.mel for clip in footage]

    def __call__(self, count: int, rng: augment.Rng) -> Float:
        """``[count, 80]``."""
        if rng.random() < 0.5:
            return augment.hiss(count, rng)
        return np.resize(self._mels[rng.integers(len(self._mels))], (count, MEL_BANDS))


class SpeechWindows:
    """Endless random batches; batch ``n`` depends only on (seed, n), so that training resumes exactly.

    Args:
        footage: prepared clips.
        frames: longest window in video frames.
        batch: windows per batch.
        around: mel frames of context before and behind (``SpeechDimensions.before_rows``, ``after_rows``).
        seed: source of chance.
        late: frames by which a clip's mouth is late, by its id; 0 where nothing is told.
    """

    def __init__(
        self,
        footage: list[Footage],
        frames: int,
        batch: int,
        around: tuple[int, int],
        seed: int,
        late: Mapping[str, int] | None = None,
    ) -> None:
        self._footage = [in_step(clip, (late or {}).get(clip.clip.id, 0)) for clip in footage]
        self._frames, self._batch, self._around, self._seed = frames, batch, around, seed
        self._shares = shares(footage)
        self._noise = Noises(footage)

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: mel ``[B, before + 4T + after, 80]``, geometry ``[B, T, 16]``, aperture and
        mask ``[B, T]``."""
        rng = np.random.default_rng([self._seed, number])
        chosen = rng.choice(len(self._footage), self._batch, p=self._shares)
        return stacked([self._window(self._footage[i], rng) for i in chosen])

    def _window(self, clip: Footage, rng: augment.Rng) -> Row:
        first = int(rng.integers(0, max(1, len(clip) - self._frames // 2)))
        wanted = int(rng.integers(self._frames // 3, self._frames + 1))
        count = min(len(clip) - first, wanted)
        mel, frames = _stretched(clip.mel, first, count, self._around[1], rng, 0.15)
        rows = np.column_stack([clip.geometry, clip.aperture, clip.found, clip.silent]).astype(np.float32)
        rows = augment.resample(rows[first : first + count], frames)[: self._frames]
        mel = augment.heard(mel, self._noise(len(mel), rng), rng)
        part = np.zeros((self._frames, rows.shape[1]), np.float32)
        part[: len(rows)] = rows
        return {
            "mel": _frame(mel[: len(rows) * MELS_PER_FRAME + self._around[1]], self._frames, self._around),
            "geometry": part[:, :-3],
            "aperture": part[:, -3],
            "mask": (part[:, -2] > 0.5).astype(np.float32),
            "silent": (part[:, -1] > 0.5).astype(np.float32),
        }


class PhoneWindows:
    """Batches of speech whose phones are known: ``phone_mel [B, before + 4T + after, 80]``, ``classes [B, 4T]``.

    Args:
        made: synthesised clips.
        real: labelled recordings; a quarter of the windows, where there are any.
        noises: backgrounds.
        frames, batch, around, seed: as for ``SpeechWindows``.
    """

    def __init__(
        self,
        made: list[PhoneClip],
        real: list[PhoneClip],
        noises: Noises,
        frames: int,
        batch: int,
        around: tuple[int, int],
        seed: int,
    ) -> None:
        self._made, self._real, self._noise = made or real, real, noises
        self._frames, self._batch, self._around, self._seed = frames, batch, around, seed

    def __call__(self, number: int) -> Batch:
        rng = np.random.default_rng([self._seed, number, 1])
        return stacked([self._window(rng) for _ in range(self._batch)])

    def _window(self, rng: augment.Rng) -> Row:
        clips = self._real if self._real and rng.random() < 0.25 else self._made
        clip = clips[rng.integers(len(clips))]
        total = len(clip.mel) // MELS_PER_FRAME
        first = int(rng.integers(0, max(1, total - self._frames // 2)))
        count = max(1, min(total - first, self._frames))
        mel, frames = _stretched(clip.mel, first, count, self._around[1], rng, 0.25)
        # Slowed down, a window's end is cut off: what is left of it still goes at the tempo of the whole.
        frames, whole = min(frames, self._frames), frames
        places = (np.arange(frames * MELS_PER_FRAME) + 0.5) * count / whole + first * MELS_PER_FRAME
        classes = np.full(self._frames * MELS_PER_FRAME, UNKNOWN, np.int64)
        classes[: len(places)] = clip.classes[places.astype(int).clip(0, len(clip.classes) - 1)]
        mel = augment.heard(mel, self._noise(len(mel), rng), rng)
        sound = mel[: frames * MELS_PER_FRAME + self._around[1]]
        return {"phone_mel": _frame(sound, self._frames, self._around), "classes": classes}


class CaptureWindows:
    """Batches of motion capture: ``take_mel [B, before + 4T + after, 80]``, ``coefficients`` and ``known [B, T, C]``,
    and ``distance [B, T]`` between the lips (``face.closure``).

    Args:
        takes: recordings with coefficients.
        columns: which coefficients.
        noises, frames, batch, around, seed: as for ``PhoneWindows``.
    """

    def __init__(
        self,
        takes: list[Take],
        columns: Sequence[int],
        noises: Noises,
        frames: int,
        batch: int,
        around: tuple[int, int],
        seed: int,
    ) -> None:
        self._takes, self._columns, self._noise = takes, list(columns), noises
        self._frames, self._batch, self._around, self._seed = frames, batch, around, seed
        values = np.concatenate([take.values[:, self._columns] for take in takes])
        self._scale = values.std(0) + 0.01

    def __call__(self, number: int) -> Batch:
        rng = np.random.default_rng([self._seed, number, 2])
        return stacked([self._window(self._takes[rng.integers(len(self._takes))], rng) for _ in range(self._batch)])

    def _window(self, take: Take, rng: augment.Rng) -> Row:
        first = int(rng.integers(0, max(1, len(take) - self._frames)))
        count = min(len(take) - first, self._frames)
        mel, frames = _stretched(take.mel, first, count, self._around[1], rng, 0.15)
        columns = (take.values[:, self._columns] / self._scale, lip_distance(take.values), take.found)
        rows = np.column_stack(columns)[first : first + count]
        rows = augment.resample(rows.astype(np.float32), frames)[: self._frames]
        mel = augment.heard(mel, self._noise(len(mel), rng), rng)
        part = np.zeros((self._frames, len(self._columns) + 2), np.float32)
        part[: len(rows)] = rows
        known = (part[:, -1:] > 0.5) & take.channels[self._columns]
        sound = mel[: len(rows) * MELS_PER_FRAME + self._around[1]]
        return {
            "take_mel": _frame(sound, self._frames, self._around),
            "coefficients": part[:, :-2],
            "distance": part[:, -2],
            "known": known.astype(np.float32),
        }


def stacked(rows: list[Row]) -> Batch:
    """Rows of equal shapes -> a batch."""
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


def together(parts: Sequence[Callable[[int], Batch]]) -> Callable[[int], Batch]:
    """One batch of several sources, their names side by side."""

    def batch(number: int) -> Batch:
        return {name: value for part in parts for name, value in part(number).items()}

    return batch
