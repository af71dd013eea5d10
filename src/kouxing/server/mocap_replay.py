"""A recorded take as a live source: each row comes when it is due, by the take's own times, again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kouxing.errors import DataError
from kouxing.export import files
from kouxing.server.mocap_frames import MOST_TURN, Capture, Frame, shortest
from kouxing.types import CoefficientTrack

BETWEEN_S = 1.5
"""Pause before a take begins anew: the face fades back to its own rest instead of jumping to the beginning."""


class Replay:
    """Plays a take in a thread of its own.

    Args:
        path: ``.csv`` (Live Link Face) or ``.json``.
        clock: seconds, increasing.
        wait: waits so many seconds and tells whether to end; the thread's own by default.

    Attributes:
        face: its recent frames.
        late: rows left out because their time was over.

    Raises:
        DataError: no such take.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.name = str(path)
        self.face = Capture()
        self.late = 0
        self._track = files.read(path)
        if not len(self._track):
            raise DataError(f"--capture {path}: the take has no rows; record it again")
        turns = self._track.rotations
        if turns is not None and np.abs(turns).max() > MOST_TURN:
            raise DataError(f"--capture {path}: it turns by {np.abs(turns).max():.0f}; give the angles in radians")
        self._clock = clock
        self._ended = threading.Event()
        self._wait = wait or self._ended.wait
        self._thread = threading.Thread(target=self._run, name="capture replay", daemon=True)

    def start(self) -> Replay:
        """Begin to play."""
        self._thread.start()
        return self

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def play(self) -> bool:
        """Play the take once; True where it was told to end."""
        track, began = self._track, self._clock() - float(self._track.time(0))
        for row in range(len(track)):
            due = began + float(track.time(row))
            left = due - self._clock()
            if left > 0 and self._wait(left):
                return True
            if row + 1 < len(track) and self._clock() >= began + float(track.time(row + 1)):
                # The machine was busy: the next row is due already.
                self.late += 1
                continue
            self.face.push(_frame(track, row, due))
        return False

    def _run(self) -> None:
        while not self.play():
            if self._wait(BETWEEN_S):
                return


def _frame(track: CoefficientTrack, row: int, time_s: float) -> Frame:
    return Frame(time_s, track.values[row], None if track.rotations is None else shortest(track.rotations[row]))
