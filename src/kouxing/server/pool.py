"""The worker processes: who hears which stream, who is ill, and how its streams go on elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kouxing.errors import OptionError
from kouxing.server.deadline import within
from kouxing.server.faces import Manner
from kouxing.server.pipe import Say, manner_told, packed, packed_json, read_rows
from kouxing.server.protocol import Sound, row_time
from kouxing.server.workers import Process, Worker
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, exact

LOG = logging.getLogger("kouxing.server")

GRID = exact(SAMPLE_HZ, 5)
"""Samples (0.2 s) after which rows at 60 and model rows at 25 a second fall together: where a stream may be cut."""
GRID_ROWS = 12
CONTEXT = 30 * GRID
"""Samples (6 s) that a moved stream hears again, so that its network remembers."""
PING_S = 0.5
ILL_S = 8.0
"""A worker that answers nothing for so long is replaced; on an overloaded machine a healthy one may be silent for some
seconds. One that dies is noticed at once."""
SLOW_START_S = 60.0
END_S = 2.0
TRIES = 5
"""Workers that die before they are ready, in a row, before the pool gives up."""

AGAIN_S = 0.2
"""Between two tries to start a worker."""

MOST_MOVES = 5

TakeRows = Callable[[int, Float, bool], None]
"""Takes the first row's number, ``[n, 52]`` values and whether the mouth rests."""


@dataclass
class _Told:
    """What happened to the pool, for the metrics."""

    replaced: int = 0
    moved: int = 0


class Stream:
    """One stretch of speech in the hands of some worker.

    Args:
        pool: to which it belongs.
        method, first, manner: see ``Pool.open``.
        rows: takes rows as they are made; each row once, in order, also if a worker dies in between.
        done: called when all rows of a finished stream are there.
    """

    def __init__(
        self, pool: Pool, number: int, method: str, first: int, manner: Manner, rows: TakeRows, done: Callable[[], None]
    ) -> None:
        self.number = number
        self.method = method
        self.worker: Worker | None = None
        self._pool = pool
        self._manner = manner
        self._rows, self._done = rows, done
        self._next = first
        # Kept sound begins at row `_origin`, which stands on the grid counted from `first`.
        self._first = self._origin = first
        self._kept: deque[Sound] = deque()
        self._held = 0
        self._finished = False
        self.moves = 0

    def push(self, sound: Sound) -> None:
        """Give ``[N] int16`` samples."""
        self._kept.append(sound)
        self._held += len(sound)
        self._forget()
        self._tell(packed(Say.SOUND, self.number, sound.tobytes()))

    def change(self, manner: Manner) -> None:
        """Speak otherwise from now on."""
        self._manner = manner
        self._tell(packed_json(Say.MANNER, self.number, manner_told(manner)))

    def finish(self) -> None:
        """No more sound comes; the rows owed do."""
        self._finished = True
        self._tell(packed(Say.FINISH, self.number))

    def close(self) -> None:
        """Nothing more is wanted."""
        self._tell(packed(Say.CLOSE, self.number))
        self._pool.forget(self)

    def _tell(self, data: bytes) -> None:
        if self.worker is not None:
            self.worker.send(data)

    def _forget(self) -> None:
        """Drop sound that no moved stream would need."""
        spare = row_time(self._next) - row_time(self._origin) - CONTEXT - GRID
        if spare < GRID:
            return
        drop = spare // GRID
        self._origin += drop * GRID_ROWS
        left = drop * GRID
        while left:
            head = self._kept.popleft()
            if len(head) > left:
                self._kept.appendleft(head[left:])
            taken = min(len(head), left)
            left -= taken
            self._held -= taken

    def begin(self, worker: Worker) -> None:
        """Open at this worker, from the kept sound on."""
        self.worker = worker
        told = {"method": self.method, "first": self._origin, "manner": manner_told(self._manner)}
        worker.send(packed_json(Say.OPEN, self.number, told))
        for sound in self._kept:
            worker.send(packed(Say.SOUND, self.number, sound.tobytes()))
        if self._finished:
            worker.send(packed(Say.FINISH, self.number))

    def made(self, first: int, values: Float, rest: bool) -> None:
        """Rows from a worker; those that a former one already gave are left out."""
        skip = max(0, self._next - first)
        if skip >= len(values):
            return
        self._next = first + len(values)
        self._rows(first + skip, values[skip:], rest)

    def ended(self) -> None:
        """The worker has given all."""
        self._pool.forget(self)
        self._done()


class Pool:
    """A number of worker processes of one machine.

    Args:
        count: of processes.
        methods: models that each loads at its start.
        command: how a worker is started; for tests.
    """

    def __init__(
        self,
        count: int,
        methods: Sequence[str] = ("mouth",),
        command: Sequence[str] = (sys.executable, "-m", "kouxing.server.worker"),
    ) -> None:
        self._count = count
        self._methods = list(methods)
        self._command = [*command, *self._methods]
        self._workers: list[Worker] = []
        self._streams: dict[int, Stream] = {}
        self._number = 0
        self._ready = asyncio.Event()
        self._closing = False
        self._failed = 0
        self._fault = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self.look_ahead_ms: dict[str, float] = {}
        self.told = _Told()

    @property
    def ready(self) -> bool:
        """Whether any worker can work."""
        return any(worker.ready for worker in self._workers)

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [worker.pid for worker in self._workers if worker.pid]

    @property
    def busy_pids(self) -> list[int]:
        """Process ids of the workers that hear a stream."""
        return [worker.pid for worker in self._workers if worker.load]

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    async def start(self) -> None:
        """Start all workers; returns when the first is ready.

        Raises:
            OptionError: none comes up, and why.
        """
        for slot in range(self._count):
            self._task(self._run(slot))
        self._task(self._watch())
        await self._ready.wait()
        if not self.ready:
            await self.close()
            raise OptionError(self._fault or "the worker processes die at their start; see the lines above")

    async def close(self) -> None:
        """End all workers."""
        self._closing = True
        for worker in self._workers:
            worker.end()
        for task in list(self._tasks):
            task.cancel()
        workers = [worker.exited.wait() for worker in self._workers]
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await within(asyncio.gather(*workers), END_S)

    def open(self, method: str, first: int, manner: Manner, rows: TakeRows, done: Callable[[], None]) -> Stream:
        """A stream at its beginning, at the worker with the least to do.

        Args:
            method: one of ``server.hello.METHODS``.
            first: number of the row that stands at the first sample.
            manner: how to speak.
            rows, done: see ``Stream``.
        """
        self._number = self._number % 0xFFFFFFFF + 1
        stream = Stream(self, self._number, method, first, manner, rows, done)
        self._streams[stream.number] = stream
        self._place(stream)
        return stream

    def forget(self, stream: Stream) -> None:
        """A stream is over."""
        self._streams.pop(stream.number, None)
        if stream.worker is not None:
            stream.worker.load.discard(stream.number)
        stream.worker = None

    async def begin(self, slot: int) -> Worker:
        """Start a worker, the ``slot``-th of those that run at the same time."""
        return await Process.begin(self.heard, self._command)

    def _place(self, stream: Stream) -> None:
        able = [worker for worker in self._workers if worker.ready]
        stream.worker = None
        if able:
            worker = min(able, key=lambda one: len(one.load))
            worker.load.add(stream.number)
            stream.begin(worker)

    def _over(self) -> bool:
        return self._closing

    def _task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, slot: int) -> None:
        """Keep one worker alive."""
        while not self._over() and self._failed < TRIES:
            try:
                worker = await self.begin(slot)
            except OSError as error:
                # Want of memory or of open files may pass; only a server that never worked gives up.
                self._failed += not self._ready.is_set()
                self._fault = f"a worker process cannot be started ({error.strerror or error})"
                LOG.warning("%s", self._fault)
                await asyncio.sleep(AGAIN_S)
                continue
            self._workers.append(worker)
            try:
                await worker.gone.wait()
            finally:
                self._workers.remove(worker)
                worker.release()
            if self._over():
                return
            self.told.replaced += 1
            self._failed = 0 if worker.was_ready else self._failed + 1
            LOG.warning("worker %s ended; its %d streams move on", worker.pid, len(worker.load))
            self._move(worker)
            if not worker.was_ready:
                await asyncio.sleep(AGAIN_S)
        self._ready.set()

    def _move(self, worker: Worker) -> None:
        """Its streams go on elsewhere; one that no worker survives ends."""
        for stream in [self._streams[number] for number in sorted(worker.load)]:
            stream.moves += 1
            self.told.moved += 1
            if stream.moves > MOST_MOVES:
                LOG.error("stream %d has met the end of %d workers; it is given up", stream.number, stream.moves)
                stream.ended()
            else:
                self._place(stream)

    async def _watch(self) -> None:
        """Ask all workers how they are."""
        loop = asyncio.get_running_loop()
        asked: dict[Worker, float] = {}
        while True:
            now = loop.time()
            for worker in self._workers:
                limit = ILL_S if worker.ready else SLOW_START_S
                # Counted from the first unanswered question: if this loop itself was held up, nobody else is to blame.
                if worker.waiting and now - asked.get(worker, now) > limit:
                    LOG.warning("worker %s does not answer; it is replaced", worker.pid)
                    worker.kill()
                elif not worker.waiting:
                    asked[worker] = now
                    worker.ask()
            for gone in [worker for worker in asked if worker not in self._workers]:
                del asked[gone]
            await asyncio.sleep(PING_S)

    def heard(self, worker: Worker, say: Say, number: int, payload: bytes) -> None:
        """A worker's message."""
        if say is Say.READY:
            worker.ready = worker.was_ready = True
            self.look_ahead_ms.update(json.loads(payload)["look_ahead_ms"])
            self._ready.set()
            for stream in self._streams.values():
                if stream.worker is None:
                    self._place(stream)
            return
        if say is Say.FAULT:
            self._fault = json.loads(payload)
            self._failed = TRIES
            return
        stream_ = self._streams.get(number)
        if stream_ is None or stream_.worker is not worker:
            return
        if say is Say.ROWS:
            stream_.made(*read_rows(payload))
        elif say is Say.DONE:
            stream_.ended()
