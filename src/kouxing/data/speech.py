"""Windows of (mel, mouth geometry) for the speech encoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kouxing.audio.features import SILENT_MEL
from kouxing.data import augment
from kouxing.data.footage import Footage
from kouxing.types import Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME

Batch = dict[str, Tensor]


def shares(footage: list[Footage], grid: float = 0.35, words: float = 0.3) -> np.ndarray:
    """How often each clip is drawn: studio, single words (clips under 2 s) and the rest in fixed shares.

    Within a share, time counts, but a speaker's clips together no more than the square root of their number.
    """
    short = np.array([f.clip.seconds < 2 for f in footage])
    studio = np.array([f.clip.part == "grid" for f in footage]) & ~short
    seconds = np.array([len(f) for f in footage], float)
    speakers = [f.clip.speaker for f in footage]
    totals = {name: sum(s for s, n in zip(seconds, speakers, strict=True) if n == name) for name in set(speakers)}
    weight = np.array([s / np.sqrt(totals[name]) for s, name in zip(seconds, speakers, strict=True)])
    result = np.zeros(len(footage))
    groups = ((studio, grid), (short, words), (~studio & ~short, 1 - grid - words))
    for chosen, share in groups:
        if chosen.any():
            result[chosen] = share * weight[chosen] / weight[chosen].sum()
    return result / result.sum()


class SpeechWindows:
    """Endless random batches; batch ``n`` depends only on (seed, n), so that training resumes exactly.

    Args:
        footage: prepared clips.
        frames: longest window in video frames.
        batch: windows per batch.
        reach_mels: mel frames of context on each side (``SpeechDimensions.context_mels``).
        seed: source of chance.
    """

    def __init__(self, footage: list[Footage], frames: int, batch: int, reach_mels: int, seed: int) -> None:
        self._footage = footage
        self._frames, self._batch, self._reach, self._seed = frames, batch, reach_mels, seed
        self._shares = shares(footage)

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: mel ``[B, 2 * reach + 4T, 80]``, geometry ``[B, T, 16]``, aperture and mask ``[B, T]``."""
        rng = np.random.default_rng([self._seed, number])
        rows = [
            self._window(self._footage[i], rng) for i in rng.choice(len(self._footage), self._batch, p=self._shares)
        ]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _window(self, clip: Footage, rng: augment.Rng) -> dict[str, Float]:
        rows = np.column_stack([clip.geometry, clip.aperture, clip.found, clip.silent]).astype(np.float32)
        mel, rows = augment.tempo(clip.mel, rows, rng)
        other = self._footage[rng.integers(len(self._footage))].mel
        noise = other if rng.random() < 0.5 else augment.hiss(len(mel), rng)
        noise = np.resize(noise, mel.shape)
        mel = augment.recording(augment.voice(mel, rng), noise, rng)
        first = int(rng.integers(0, max(1, len(rows) - self._frames // 2)))
        length = int(rng.integers(self._frames // 3, self._frames + 1))
        last = min(len(rows), first + length)
        return self._cut(mel, rows, first, last)

    def _cut(self, mel: Float, rows: Float, first: int, last: int) -> dict[str, Float]:
        """Window [first, last) with real context where the clip has it, silence elsewhere."""
        whole = np.full((2 * self._reach + self._frames * MELS_PER_FRAME, MEL_BANDS), SILENT_MEL, np.float32)
        # The context before the window is not given: a stream starts with silence, and so must training.
        sound = mel[first * MELS_PER_FRAME : last * MELS_PER_FRAME + self._reach]
        whole[self._reach : self._reach + len(sound)] = sound
        part = np.zeros((self._frames, rows.shape[1]), np.float32)
        part[: last - first] = rows[first:last]
        return {
            "mel": whole,
            "geometry": part[:, :-3],
            "aperture": part[:, -3],
            "mask": (part[:, -2] > 0.5).astype(np.float32),
            "silent": (part[:, -1] > 0.5).astype(np.float32),
        }
