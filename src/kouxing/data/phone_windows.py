"""Windows of speech whose phones are known, for phone pre-training of step models."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kouxing.audio.features import SILENT_MEL
from kouxing.data import augment
from kouxing.data.phones import PhoneClip
from kouxing.types import Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME

Batch = dict[str, Tensor]
IGNORED = -100
"""Class of what does not count, as PyTorch's cross-entropy has it."""


class PhoneWindows:
    """Endless random batches; batch ``n`` depends only on (seed, n).

    Args:
        made: synthesised clips.
        real: recordings with labels; may be empty.
        frames: length of a window in video frames.
        batch: windows per batch.
        before, after: mel frames of context around the window.
        seed: source of chance.
        share: of real ones.
    """

    def __init__(
        self, made: list[PhoneClip], real: list[PhoneClip], frames: int, batch: int, before: int, after: int,
        seed: int, share: float = 0.25,
    ) -> None:  # fmt: skip
        self._made, self._real = made, real
        self._frames, self._batch, self._before, self._after = frames, batch, before, after
        self._seed, self._share = seed, share

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: mel ``[B, before + 4T + after, 80]``, classes ``[B, 4T] int64``."""
        rng = np.random.default_rng([self._seed, number])
        rows = [self._sample(rng) for _ in range(self._batch)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _sample(self, rng: augment.Rng) -> dict[str, np.ndarray]:
        clips = self._real if self._real and rng.random() < self._share else self._made
        clip = clips[rng.integers(len(clips))]
        mels = self._frames * MELS_PER_FRAME
        first = int(rng.integers(0, max(1, len(clip.mel) - mels // 2)))
        spare = int(1.3 * mels)
        mel, classes = clip.mel[first : first + spare], clip.classes[first : first + spare]
        mel, classes = _stretched(mel, classes, 1 + rng.uniform(-0.2, 0.2))
        other = clips[rng.integers(len(clips))].mel
        noise = other if rng.random() < 0.4 else augment.hiss(len(mel), rng)
        mel = augment.recording(augment.voice(mel, rng), np.resize(noise, mel.shape), rng)
        sound = np.full((self._before + mels + self._after, MEL_BANDS), SILENT_MEL, np.float32)
        heard = mel[: mels + self._after]
        sound[self._before : self._before + len(heard)] = heard
        wanted = np.full(mels, IGNORED, np.int64)
        wanted[: min(mels, len(classes))] = classes[:mels]
        return {"mel": sound, "classes": wanted}


def _stretched(mel: Float, classes: np.ndarray, factor: float) -> tuple[Float, np.ndarray]:
    count = max(1, round(len(mel) * factor))
    at = np.minimum(((np.arange(count) + 0.5) * len(mel) / count).astype(int), len(mel) - 1)
    return mel[at], classes[at]
