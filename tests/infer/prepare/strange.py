"""Tasks for worker processes, in a module that they can import: good ones, and all kinds that go wrong."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from kouxing.errors import MediaError, OutputError


def work(task: str) -> str:
    """What the task's first word says."""
    kind, _, rest = task.partition(" ")
    if kind == "sleep":
        Path(rest).write_text(str(os.getpid()))
        time.sleep(60)
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "once" and not Path(rest).exists():
        Path(rest).write_text("died")
        os._exit(3)
    if kind == "file":
        raise MediaError("a.mp4 is no video")
    if kind == "full":
        raise OutputError("the disk is full")
    if kind == "fault":
        raise ValueError("two\nlines")
    return f"{kind} done"
