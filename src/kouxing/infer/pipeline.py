"""Work in stages that run side by side, each with a short queue: memory stays bounded, order is kept."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

DEPTH = 8
"""Items that may wait between two stages."""

_POLL_S = 0.2


class _End:
    """Last thing in a queue: what stopped the stage, or nothing."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item, None, None]:
    """Iterate over ``items`` in a thread of its own, at most ``depth`` items ahead of the reader.

    An error in the thread is raised where the reader stands. Closing the generator (also by an error or Ctrl-C in the
    reader) stops the thread and closes ``items`` before it returns.
    """
    waiting: queue.Queue[Item | _End] = queue.Queue(depth)
    stop = threading.Event()

    def put(thing: Item | _End) -> bool:
        while not stop.is_set():
            try:
                waiting.put(thing, timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        end = _End()
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - handed to the reader, which raises it
            end = _End(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
        put(end)

    thread = threading.Thread(target=work, name="kouxing-stage", daemon=True)
    thread.start()
    try:
        while True:
            thing = waiting.get()
            if isinstance(thing, _End):
                if thing.error is not None:
                    raise thing.error
                return
            yield thing
    finally:
        stop.set()
        thread.join()


class Stopped(Exception):
    """What work in a thread raises when nobody wants it any more."""


class Beside(Generic[Made]):
    """Work under way in a thread of its own; made by ``beside``."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._made: Future[Made] | None = None
        self._told: tuple[str, int, int | None] | None = None

    def check(self) -> None:
        """For the caller, now and then: raises what stopped the work early, if something has."""
        if self._made is not None and self._made.done():
            self._made.result()

    def go_on(self) -> None:
        """For the work, now and then: raises ``Stopped`` once the caller has given up."""
        if self._stop.is_set():
            raise Stopped

    def tell(self, stage: str, done: int, total: int | None) -> None:
        """For the work: how far it is; raises ``Stopped`` once the caller has given up."""
        self.go_on()
        self._told = stage, done, total

    def result(self, told: Callable[[str, int, int | None], None]) -> Made:
        """For the caller: what the work made, as soon as it is done; raises what it raised.

        Args:
            told: called here, in the caller's thread, with what the work tells meanwhile.
        """
        if self._made is None:
            raise RuntimeError("nothing was begun")
        said = None
        while True:
            with suppress(TimeoutError, FutureTimeout):
                return self._made.result(_POLL_S)
            if self._made.done():
                return self._made.result()
            if self._told is not None and self._told != said:
                said = self._told
                told(*said)


@contextmanager
def beside(work: Callable[[Beside[Made]], Made]) -> Iterator[Beside[Made]]:
    """``work`` runs in a thread while the block does something else; an error in the block stops it.

    Args:
        work: is given what it asks whether to ``go_on``.
    """
    made: Beside[Made] = Beside()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="kouxing-beside") as pool:
            made._made = pool.submit(work, made)
            try:
                yield made
            except BaseException:
                made._stop.set()
                raise
    finally:
        # Ctrl-C may also come while the pool waits for its thread.
        made._stop.set()


def announced(items: Iterable[Item], tell: Callable[[Item], None], count: int) -> Generator[Item, None, None]:
    """Every item, after ``tell`` has been called of the ``count`` that follow it; of the first nothing is told."""
    waiting: deque[Item] = deque()
    for item in items:
        if waiting:
            tell(item)
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting


def side_by_side(
    items: Iterable[Item], make: Callable[[Item], Made], workers: int, depth: int = DEPTH
) -> Generator[Made, None, None]:
    """``make`` of every item, by ``workers`` threads, in the items' order; at most ``depth`` are under way."""
    running: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="kouxing-worker")
    try:
        for item in items:
            running.append(pool.submit(make, item))
            while len(running) >= depth:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
        pool.shutdown(wait=True)
        close = getattr(items, "close", None)
        if close is not None:
            close()
