"""One file job in a process of its own: ``python -m kouxing.server.job_worker``.

The order comes as one JSON line on standard input; progress and the end go as JSON lines to standard output. Files are
those of the job's folder, under names that the server chose.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from kouxing.config import one_thread_a_library

one_thread_a_library()

from kouxing import config  # noqa: E402
from kouxing.errors import KouxingError, MediaError  # noqa: E402

TOLD_EVERY_S = 0.25
NICE = 10
"""Live sessions come first."""

Told = Callable[[str, int, "int | None"], None]


class Telling:
    """Progress, a few times a second."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send, self._stage, self._at = send, "", 0.0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` are done in ``stage``."""
        now = time.monotonic()
        if stage != self._stage or now - self._at > TOLD_EVERY_S or done == total:
            self._stage, self._at = stage, now
            self._send({"stage": stage, "done": done, "total": total})


def run(order: dict[str, Any], folder: Path, told: Told) -> tuple[list[str], tuple[str, ...]]:
    """Do a job; returns the names of its results in ``folder``, and what the user should know.

    Raises:
        KouxingError: the files or options cannot be.
    """
    files = {name: folder / place for name, place in order["files"].items()}
    _check_length(files, order["most_s"])
    given: dict[str, Any] = order["options"]
    if order["kind"] == "dub":
        from kouxing.infer.dub import dub

        made = dub(files["face"], files["speech"], folder / "dub.mp4", progress=told, **given)
        return ["dub.mp4"], made.warnings
    if order["kind"] == "score":
        from kouxing.infer.score import score

        report = score(files["video"], plot=folder / "score.png", progress=told)
        found = {key: value for key, value in asdict(report).items() if key not in ("video", "fixed")}
        text = json.dumps(_plain(found), ensure_ascii=False, allow_nan=False)
        (folder / "score.json").write_text(text, encoding="utf-8")
        return ["score.json", "score.png"], report.warnings
    from kouxing.infer.animate import animate

    name = f"animation.{given.pop('format')}"
    moved = animate(files["speech"], folder / name, progress=told, **given)
    return [name], moved.warnings


def _check_length(files: dict[str, Path], most_s: float) -> None:
    from kouxing.media.length import lasts_longer

    for name, path in files.items():
        if lasts_longer(path, most_s):
            raise MediaError(f"{name}: longer than {most_s / 60:g} minutes, the most that this server takes")


def _plain(value: Any) -> Any:
    """JSON's types; no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (Fraction, float)):
        return float(value) if math.isfinite(value) else None
    return value


def main() -> int:
    """Do the order on standard input; returns the exit code."""
    out = os.dup(1)
    os.dup2(2, 1)

    def send(told: dict[str, Any]) -> None:
        os.write(out, json.dumps(told, ensure_ascii=False).encode() + b"\n")

    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(NICE)
    order = json.loads(sys.stdin.readline())
    folder = Path(order["folder"])
    try:
        results, warnings = run(order, folder, Telling(send))
    except KouxingError as error:
        send({"error": _discreet(str(error), folder)})
        return 2
    send({"results": results, "warnings": [_discreet(line, folder) for line in warnings]})
    return 0


def _discreet(line: str, folder: Path) -> str:
    """Where the files lie, and the operator's key, is nobody's business."""
    line = line.replace(f"{folder}{os.sep}", "")
    for path in config.load().signing or ():
        line = line.replace(str(path), path.name)
    return line


if __name__ == "__main__":
    sys.exit(main())
