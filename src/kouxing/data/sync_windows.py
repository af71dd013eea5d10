"""Windows of (mouth pictures, speech) for the sync discriminator, with real frames on both sides of every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kouxing.data import augment, sync_augment
from kouxing.data.mouths import Mouths, speakers
from kouxing.data.speech import Batch, Row, shares, stacked
from kouxing.errors import DataError
from kouxing.types import Bool, Float
from kouxing.units import MEL_BANDS


@dataclass(frozen=True)
class WindowRules:
    """How windows are drawn.

    Attributes:
        rows: judged moments of a window.
        mouth_reach, speech_reach: frames that the encoders see on each side (``models.sync.SyncDimensions``).
        grid, words: shares of studio clips and of single words; the rest is in the wild.
        same: share of windows whose neighbour in the batch, its foreign false pair, has the same speaker.
        hard: share of windows with the noise, music, echo, compression, blur and brightness of stage 3.
    """

    rows: int = 20
    mouth_reach: int = 2
    speech_reach: int = 5
    grid: float = 0.3
    words: float = 0.3
    same: float = 0.5
    hard: float = 0.0

    @property
    def reach(self) -> int:
        return max(self.mouth_reach, self.speech_reach)

    @property
    def frames(self) -> int:
        """Frames that a window needs."""
        return self.rows + 2 * self.reach


def judged(clip: Mouths, mouth_reach: int, speech_reach: int) -> Bool:
    """``[T]``: frames whose whole mouth window shows a face and whose speech window is not all silent."""
    seen = _all_around(clip.found, mouth_reach)
    quiet = _all_around(clip.silent, speech_reach)
    return seen & ~quiet


def _all_around(values: Bool, reach: int) -> Bool:
    if len(values) < 2 * reach + 1:
        return np.zeros(len(values), bool)
    inner = np.lib.stride_tricks.sliding_window_view(values, 2 * reach + 1).all(-1)
    return np.concatenate([np.zeros(reach, bool), inner, np.zeros(reach, bool)])


class SyncWindows:
    """Endless random batches; batch ``n`` depends only on (seed, n), so that training resumes exactly.

    Args:
        mouths: clips.
        windows: windows per batch.
        rules: how they are drawn.
        seed: source of chance.
        late: frames by which a clip's sound is late, by its id; 0 where nothing is told.

    Raises:
        DataError: every clip is shorter than a window.
    """

    def __init__(
        self,
        mouths: Sequence[Mouths],
        windows: int,
        rules: WindowRules,
        seed: int,
        late: Mapping[str, int] | None = None,
    ) -> None:
        moved = [one.shifted(-(late or {}).get(one.clip.id, 0)) for one in mouths]
        self._mouths = [one for one in moved if len(one) >= rules.frames]
        if not self._mouths:
            raise DataError(f"no clip of {rules.frames} frames or more")
        self._count, self._rules, self._seed = windows, rules, seed
        self._shares = shares(self._mouths, rules.grid, rules.words)
        self._speakers = speakers(self._mouths)

    @property
    def clips(self) -> int:
        """How many clips windows are drawn from."""
        return len(self._mouths)

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: pictures ``[B, T + 2r, 48, 64] uint8``, mel ``[B, 4 * (T + 2s), 80]``, geometry
        ``[B, T, 16]``, mask ``[B, T]`` and known ``[B, T]`` (where geometry is)."""
        rng = np.random.default_rng([self._seed, number])
        chosen: list[int] = []
        while len(chosen) < self._count:
            first = int(rng.choice(len(self._mouths), p=self._shares))
            chosen += [first, self._partner(first, rng)]
        return stacked([self._window(self._mouths[place], rng) for place in chosen[: self._count]])

    def _partner(self, first: int, rng: augment.Rng) -> int:
        others = [place for place in self._speakers[self._mouths[first].clip.speaker] if place != first]
        if others and rng.random() < self._rules.same:
            return others[rng.integers(len(others))]
        return int(rng.choice(len(self._mouths), p=self._shares))

    def _window(self, clip: Mouths, rng: augment.Rng) -> Row:
        rules = self._rules
        first = int(rng.integers(0, len(clip) - rules.frames + 1)) + rules.reach
        last = first + rules.rows
        pictures = clip.pictures[first - rules.mouth_reach : last + rules.mouth_reach]
        mel = clip.mel[(first - rules.speech_reach) * clip.rate : (last + rules.speech_reach) * clip.rate]
        mask = judged(clip, rules.mouth_reach, rules.speech_reach)[first:last]
        hard = rng.random() < rules.hard
        return {
            "pictures": sync_augment.seen(pictures, rng, hard),
            "mel": self._heard(mel, rng, hard),
            "geometry": clip.geometry[first:last],
            "mask": mask.astype(np.float32),
            "known": clip.found[first:last].astype(np.float32),
        }

    def _heard(self, mel: Float, rng: augment.Rng, hard: bool) -> Float:
        if mel.shape[1] != MEL_BANDS:
            # States of a larger encoder: only blurred a little.
            return np.asarray(mel + rng.normal(0, 0.1, mel.shape) * mel.std(), np.float32)
        return sync_augment.heard(mel, self._noise(len(mel), rng), rng, hard)

    def _noise(self, count: int, rng: augment.Rng) -> Float:
        if rng.random() < 0.5:
            return augment.hiss(count, rng)
        mel = self._mouths[rng.integers(len(self._mouths))].mel
        first = int(rng.integers(0, max(1, len(mel) - count)))
        return np.resize(mel[first : first + count], (count, MEL_BANDS))


Source = Callable[[int], Batch]
