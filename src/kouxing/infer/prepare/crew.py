"""Worker processes that may die: tasks are done in any order, a task that kills its process is told as failed.

The standard pools give up altogether when a process dies, as one does that decodes a damaged file with a faulty
decoder, or that the system stops for its memory. Here its task is tried once more in a fresh process, then given up.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, TypeVar

from kouxing.errors import KouxingError, MediaError, NoFaceError, OptionError

Task = TypeVar("Task")
Made = TypeVar("Made")

TRIES = 2
BEGAN = "began"
FAULT = "fault:"
"""Begins the reason of a failure that is the program's, not the file's."""
OF_THE_FILE = (MediaError, NoFaceError)
"""Mistakes of one file; every other one (a full disk, missing weights) stops the whole job."""


@dataclass(frozen=True)
class Failed:
    """A task that could not be done; ``reason`` is one line."""

    reason: str


@dataclass
class _Worker:
    process: Any
    connection: Connection
    number: int = -1
    began: bool = False
    tries: dict[int, int] = field(default_factory=dict)


class Crew:
    """Some processes that work through tasks. Usable as a context manager.

    Args:
        jobs: processes; 0 does the work in this one, where nothing protects from a crash.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._workers: list[_Worker] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop all processes at once; what they write appears whole or not at all."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.connection.close()
        self._workers = []

    def each(self, work: Callable[[Task], Made], tasks: Sequence[Task]) -> Iterator[tuple[int, Made | Failed]]:
        """Do all tasks.

        Args:
            work: a function at a module's top level; tasks and results travel between processes.
            tasks: what it is called with, one by one.

        Yields:
            (place in ``tasks``, result), as they get done.

        Raises:
            KouxingError: a task met a mistake that no other task can avoid either, or no process begins.
        """
        if not self._jobs:
            for number, task in enumerate(tasks):
                result = attempt(work, task)
                if isinstance(result, KouxingError):
                    raise result
                yield number, result
            return
        waiting = deque(range(len(tasks)))
        tries = [0] * len(tasks)
        while waiting or any(worker.number >= 0 for worker in self._workers):
            self._hand_out(work, tasks, waiting, tries)
            for worker in self._ready():
                number, worker.number = worker.number, -1
                try:
                    result = worker.connection.recv()
                except (EOFError, OSError):
                    code = self._bury(worker)
                    if not worker.began and worker.process.exitcode > 0:
                        raise OptionError(
                            f"a process of its own could not begin ({code}); in a script of yours, call this under "
                            '`if __name__ == "__main__":`, or with jobs=0'
                        ) from None
                    if tries[number] < TRIES:
                        waiting.appendleft(number)
                    else:
                        yield number, Failed(f"the process that read it died {TRIES} times ({code})")
                    continue
                if result == BEGAN:
                    worker.number, worker.began = number, True
                    continue
                if isinstance(result, KouxingError):
                    raise result
                yield number, result

    def _hand_out(self, work: Any, tasks: Sequence[Any], waiting: deque[int], tries: list[int]) -> None:
        while waiting and len(self._workers) < self._jobs:
            self._workers.append(_hired())
        for worker in self._workers:
            if waiting and worker.number < 0:
                worker.number = waiting.popleft()
                tries[worker.number] += 1
                # One that is dead has its pipe closed, as `_ready` finds.
                with suppress(OSError):
                    worker.connection.send((work, tasks[worker.number]))

    def _ready(self) -> list[_Worker]:
        busy = {id(worker.connection): worker for worker in self._workers if worker.number >= 0}
        return [busy[id(one)] for one in wait([worker.connection for worker in busy.values()])]

    def _bury(self, worker: _Worker) -> str:
        worker.connection.close()
        worker.process.join()
        self._workers.remove(worker)
        code = worker.process.exitcode
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def attempt(work: Callable[[Task], Made], task: Task) -> Made | Failed | KouxingError:
    """The result, the failure of this task alone, or the mistake that concerns all."""
    try:
        return work(task)
    except OF_THE_FILE as error:
        return Failed(str(error))
    except KouxingError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one strange file must not stop a night's work; the row tells it
        return Failed(f"{FAULT} {type(error).__name__}: {' '.join(str(error).split())}"[:300])


def _hired() -> _Worker:
    if multiprocessing.current_process().daemon:
        raise OptionError("this is a daemonic process, which may start no others; prepare with jobs=0 in it")
    # Forking a process that has threads (networks, decoders) may hang the child.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), name="kouxing-prepare", daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(connection: Connection) -> None:
    """A worker's life: do what comes, until nobody is there any more."""
    # Ctrl-C reaches every process of a terminal; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["KOUXING_THREADS"] = "1"
    threading.Thread(target=_follow_parent, daemon=True).start()
    # It is the footage's fault only from here on: before, the caller's own script is run once more.
    connection.send(BEGAN)
    while True:
        try:
            work, task = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(attempt(work, task))


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
