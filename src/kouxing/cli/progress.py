"""Progress on standard error: a bar with time left on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Progress = Callable[[str, int, "int | None"], None]
"""Called with (stage, done, total); total is None where it is not known yet."""

LINE_EVERY_S = 5.0


@contextmanager
def progress(silent: bool = False) -> Iterator[Progress | None]:
    """What a long job reports to; None where nothing shall be shown (``--json``)."""
    if silent:
        yield None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield Lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, *times, console=Console(stderr=True)) as bars:

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


class Lines:
    """One line every few seconds, and one at each stage's beginning and end.

    Args:
        clock: seconds, increasing.
        every_s: time between two lines of a stage.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, every_s: float = LINE_EVERY_S) -> None:
        self._clock = clock
        self._every_s = every_s
        self._stage = ""
        self._began = 0.0
        self._first = 0
        self._shown = 0.0
        self._finished = False

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report that ``done`` of ``total`` are done in ``stage``."""
        now = self._clock()
        new = stage != self._stage
        if new:
            self._stage, self._began, self._first, self._finished = stage, now, done, False
        last = total is not None and done >= total and not self._finished
        if not (new or last or now - self._shown >= self._every_s):
            return
        self._shown, self._finished = now, last
        with suppress(OSError):  # a full disk that holds the log is no reason to end the work
            of = f"/{total}" if total else ""
            print(f"kouxing: {stage}: {done}{of}{self._left(now, done, total)}", file=sys.stderr)

    def _left(self, now: float, done: int, total: int | None) -> str:
        made = done - self._first
        if not total or made <= 0 or done >= total:
            return ""
        return f", {clock_text((now - self._began) / made * (total - done))} left"


def clock_text(seconds: float) -> str:
    """``75.2`` -> ``1:15``; hours only when there are some."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
