"""One stage of the sync discriminator's training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from kouxing.data.mouths import Mouths
from kouxing.data.sync_windows import SyncWindows, WindowRules
from kouxing.losses.sync import Falses
from kouxing.models.sync import Pupil
from kouxing.train.loop import Schedule, train
from kouxing.train.origin import of_clips
from kouxing.train.sync_task import WEIGHTS, Growth, SyncTask


@dataclass(frozen=True)
class Stage:
    """One row of the recipe; the rows differ where the stages do.

    Attributes:
        schedule: cadence.
        rules: how windows are drawn.
        falses: which pairs count as false.
        growth: how the margin grows.
        filtered: trains on set 2.
    """

    schedule: Schedule
    rules: WindowRules = field(default_factory=WindowRules)
    falses: Falses = field(default_factory=Falses)
    growth: Growth = field(default_factory=Growth)
    filtered: bool = True

    def seeded(self, seed: int) -> Stage:
        """The same from another source of chance."""
        return replace(self, schedule=replace(self.schedule, seed=seed))


def run_stage(
    name: str,
    stage: Stage,
    start: Pupil,
    mouths: Sequence[Mouths],
    held_out: Sequence[Mouths],
    out: Path,
    late: Mapping[str, int],
    *,
    of: Mapping[str, str] | None = None,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> Pupil:
    """Train one stage from ``start`` (or go on with it) in ``out``; returns its best averaged weights.

    A run of other data or parents (``of``: ``train.origin.origin``) is refused.
    """
    # What a stage before returned are averaged weights, which were not learning.
    start.requires_grad_(True)
    if stage.growth.start is not None:
        start.margin.fill_(stage.growth.start)
    windows = SyncWindows(mouths, stage.schedule.batch, stage.rules, stage.schedule.seed, late)
    task = SyncTask(start, windows, held_out, stage.falses, stage.growth)
    told = {key: value for key, value in asdict(stage).items() if key != "schedule"}
    config = {
        "model": f"sync, stage {name}", "dimensions": start.judge.dimensions.as_dict(), "weights": WEIGHTS,
        "clips": len(mouths), "set": of_clips(mouths), "late": dict(late), "origin": of, **told,
    }  # fmt: skip
    report(f"stage {name}: {windows.clips} of {len(mouths)} clips are long enough, {len(late)} moved in time")
    best = train(task, stage.schedule, out, device, config, report)
    assert isinstance(best, Pupil)
    return best.cpu()
