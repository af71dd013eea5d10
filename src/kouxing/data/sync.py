"""Which clips are in step with their sound: found by what a model hears that never saw them, or by sync's filter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kouxing.data.sync_filter import Verdict
from kouxing.errors import DataError
from kouxing.media.aside import keeping
from kouxing.types import Bool, Float

FARTHEST = 4
"""Frames, both ways, within which a clip's mouth is looked for."""
BETTER, BEST = 0.10, 0.35
"""A clip is moved where that raises its correlation by the first, to at least the second."""
FOREIGN = 0.15
"""Clips that correlate less at every lag are left out: another's voice, another's face, or no speech."""
FEWEST = 40
"""Frames: shorter clips tell no lag."""
STEPS = "steps.json"
"""In a run folder of ``train speech``: the timing of every clip that was asked about."""


@dataclass(frozen=True)
class Step:
    """A clip's timing.

    Attributes:
        late: frames by which the mouth is late (negative: early); what to move it by.
        as_is: correlation of heard and seen opening as the clip is.
        best: the same, moved by ``late``.
        kept: False where the clip does not follow its sound at any lag.

    The correlations are 0 where the discriminators of ``train sync`` told.
    """

    late: int
    as_is: float
    best: float
    kept: bool


def places(frames: int, late: int) -> tuple[NDArray[np.int64], Bool]:
    """Which rows of a mouth go with the sound's, where the mouth is ``late`` frames late (negative: early).

    Returns:
        Places ``[frames]``, those beyond an end at that end; and ``[frames]``, which are not beyond.
    """
    wanted = np.arange(frames) + late
    return wanted.clip(0, frames - 1), np.asarray((wanted >= 0) & (wanted < frames), bool)


def steps_of(verdicts: Sequence[Verdict]) -> dict[str, Step]:
    """Timing as the filter of ``train sync`` says, by id: where the sound is late the mouth is early.

    Clips that it dropped or found farther off than ``FARTHEST`` are left out.
    """
    return {one.id: Step(-one.late, 0.0, 0.0, one.kept and abs(one.late) <= FARTHEST) for one in verdicts}


def write_steps(run: Path, steps: Mapping[str, Step]) -> None:
    """Keep them in a run folder."""
    with keeping(run / STEPS) as part:
        part.write_text(json.dumps({name: asdict(step) for name, step in steps.items()}, indent=1), encoding="utf-8")


def read_steps(run: Path) -> dict[str, Step]:
    """What a run folder keeps, by id; nothing where there is none.

    Raises:
        DataError: the file is damaged.
    """
    path = run / STEPS
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {name: Step(**row) for name, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not the timing of clips ({error}); remove it") from error


def find_step(heard: Float, seen: Float, found: Bool) -> Step:
    """Compare openings ``[T]``, heard in the sound and seen in the picture.

    Args:
        heard: from the sound.
        seen: tracked.
        found: ``[T]``, frames that count.
    """
    if found.sum() < FEWEST:
        return Step(0, 0.0, 0.0, True)
    lags = range(-FARTHEST, FARTHEST + 1)
    told = {lag: _correlation(heard, seen, found, lag) for lag in lags}
    lag = max(lags, key=lambda one: (told[one], -abs(one)))
    moved = told[lag] - told[0] >= BETTER and told[lag] >= BEST
    return Step(lag if moved else 0, told[0], told[lag] if moved else told[0], told[lag] >= FOREIGN)


def _correlation(heard: Float, seen: Float, found: Bool, lag: int) -> float:
    """Of ``heard[t]`` with ``seen[t + lag]``."""
    count = len(heard)
    here, there = slice(max(0, -lag), count - max(0, lag)), slice(max(0, lag), count + min(0, lag))
    both = found[there]
    a, b = heard[here][both], seen[there][both]
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
