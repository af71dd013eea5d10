"""Clips spoiled on purpose, to see whether the filter finds them: another clip's sound, or sound that was moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kouxing.audio.features import SILENT_MEL
from kouxing.data.mouths import Mouths

SHARE = 0.2
NEAREST, FARTHEST = 3, 12
"""Frames by which sound is moved."""


@dataclass(frozen=True)
class Spoil:
    """What was done to a clip: ``wrong`` sound, or sound ``late`` frames later; neither: nothing."""

    wrong: bool = False
    late: int = 0


def spoil(mouths: Sequence[Mouths], seed: int = 0, share: float = SHARE) -> tuple[list[Mouths], dict[str, Spoil]]:
    """Give half of ``share`` of the clips another speaker's sound, and move that of the other half.

    Returns:
        The clips, and what was done, by id of every clip.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(mouths))[: round(len(mouths) * share)]
    done = {one.clip.id: Spoil() for one in mouths}
    result = list(mouths)
    for number, place in enumerate(chosen):
        clip = mouths[place]
        if number % 2 == 0:
            result[place] = foreign(clip, mouths, rng)
            done[clip.clip.id] = Spoil(wrong=True)
        else:
            late = some_late(rng)
            result[place] = moved(clip, late)
            done[clip.clip.id] = Spoil(late=late)
    return result, done


def foreign(clip: Mouths, mouths: Sequence[Mouths], rng: np.random.Generator) -> Mouths:
    """The clip with the sound of another speaker, of another clip at least, out of ``mouths``."""
    others = [o for o in mouths if o.clip.speaker != clip.clip.speaker and len(o) >= len(clip)]
    others = others or [o for o in mouths if o.clip.id != clip.clip.id and len(o) >= len(clip)] or [clip]
    other = others[rng.integers(len(others))]
    first = int(rng.integers(0, len(other) - len(clip) + 1))
    mel = other.mel[first * other.rate : (first + len(clip)) * other.rate]
    return replace(clip, mel=mel, silent=other.silent[first : first + len(clip)])


def some_late(rng: np.random.Generator) -> int:
    """``NEAREST`` to ``FARTHEST`` frames either way."""
    return int(rng.integers(NEAREST, FARTHEST + 1)) * int(rng.choice([-1, 1]))


def moved(clip: Mouths, late: int) -> Mouths:
    """The sound ``late`` frames later; what is missing is silence, as in a file whose sound was moved."""
    steps = np.arange(len(clip)) - late
    inside = (steps >= 0) & (steps < len(clip))
    steps = steps.clip(0, len(clip) - 1)
    mel = clip.mel.reshape(len(clip), clip.rate, -1)[steps]
    mel = np.where(inside[:, None, None], mel, np.float32(SILENT_MEL)).reshape(clip.mel.shape)
    return replace(clip, mel=mel, silent=np.where(inside, clip.silent[steps], True))
