"""Footage whose sound runs late or early: by how much, so that a mouth is judged by the sound it really made.

Training puts its clips in step before it learns from them (``data.speech``); a few test clips in the wild carry a
constant offset as well, and lips that follow such a clip's sound exactly look wrong beside its picture. The sync
discriminator tells the offset from the real picture and sound alone, whatever is judged afterwards; studio clips are in
step by their making. Figures "in step" stand beside those of clips as they were filmed, never instead of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kouxing.data.manifest import Clip
from kouxing.data.mouths import load_mouths
from kouxing.eval.metrics import correlation
from kouxing.face.offset import Calibration, similarities
from kouxing.infer.discriminator import Discriminator
from kouxing.infer.score_sure import Ruler, is_sure
from kouxing.types import Bool, Float

_Made = TypeVar("_Made", bound=np.generic)
_Real = TypeVar("_Real", bound=np.generic)

IN_STEP = 1.0
"""Clips whose sound is off by no more frames count as in step."""


def late_by(clip: Clip, sims: Float, silent: Bool, calibration: Calibration | None) -> int:
    """By how many frames the sound of a clip is late.

    Args:
        clip: its manifest row; studio clips are in step, and single words too short to tell.
        sims: ``[T, 31]`` of its real mouth with its sound (``face.offset.similarities``).
        silent: ``[T]``.
        calibration: of the discriminator that the similarities are from.

    Returns:
        Whole frames at ``FRAME_HZ``, negative where the sound is early; 0 within a frame of 0, which is as exact as the
        discriminator is, and where the offset is no sure answer.
    """
    if clip.group != "wild":
        return 0
    told = Ruler(calibration).measure(sims, ~silent)
    return round(told.frames) if is_sure(told) and abs(told.frames) > IN_STEP else 0


def lateness(data: Path, split: str) -> dict[str, int]:
    """``late_by`` of the clips of a split that are out of step, by id, told by the shipped discriminator."""
    judge = Discriminator(threads=1)
    late: dict[str, int] = {}
    for mouths in load_mouths(data, split):
        if mouths.clip.group != "wild":
            # In step by their making, or too short to tell: ``late_by`` would say 0.
            continue
        sims = similarities(judge.embed_mouths(mouths.pictures), judge.embed_speech(mouths.mel))
        late[mouths.clip.id] = late_by(mouths.clip, sims, mouths.silent, judge.calibration)
    return {name: frames for name, frames in late.items() if frames}


def shifted(made: NDArray[_Made], real: NDArray[_Real], late: int) -> tuple[NDArray[_Made], NDArray[_Real]]:
    """What was made of a sound and the mouth that made it, row by row.

    Args:
        made: ``[T, ...]`` rows that follow the sound as it was filmed.
        real: ``[T', ...]`` rows of the picture.
        late: frames by which the sound is late: heard at t is what the mouth said at t - late.

    Returns:
        The rows of both that belong together, equally many.
    """
    made, real = made[max(0, late) :], real[max(0, -late) :]
    frames = min(len(made), len(real))
    return made[:frames], real[:frames]


def correlation_in_step(made: NDArray[np.floating], real: NDArray[np.floating], late: int) -> float:
    """Pearson r of ``shifted`` curves ``[T]``; NaN where it cannot be told."""
    return correlation(*shifted(made, real, late))
