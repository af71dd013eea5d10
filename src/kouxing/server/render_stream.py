"""One rendered stream: sound in, sound and pictures out on one clock, to any number of viewers.

Time runs in ticks of half a picture (20 ms), counted from the stream's beginning: what is sent at a tick is named by
its number alone, so that sound and picture cannot drift apart. Pictures come from a process of their own
(``render_worker``); one that is late is left out and counted, the sound goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from kouxing.errors import KouxingError
from kouxing.server import render_worker as worker
from kouxing.server.deadline import within
from kouxing.server.playout import Playout
from kouxing.server.render_process import RenderProcess
from kouxing.types import Float
from kouxing.units import FRAME_HZ, SAMPLES_PER_FRAME, exact

HALVES = 2
TICK_S = 1 / (FRAME_HZ * HALVES)
HALF = exact(SAMPLES_PER_FRAME, HALVES)
WAITING = 10
"""Items (100 to 200 ms) that wait for a viewer who does not take them; then the oldest goes."""
BEHIND_S = 0.5
"""A clock that is so far behind (a suspended machine) is set anew instead of running after."""
START_S = 30.0
"""A worker that is not ready after so long is given up, a replacement is itself replaced."""
SILENT_S = 2.0
"""A worker that sends no picture for so long while it should is replaced."""
RESTARTS = 5
"""Workers that may be lost in a row, each before its first picture."""
LATEST = 4
"""Pictures (160 ms) that one may come late and still be shown."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sound:
    """20 ms of sound: tick number and ``[320] float32`` samples at ``SAMPLE_HZ``."""

    tick: int
    samples: Float


@dataclass(frozen=True)
class Picture:
    """Picture ``number`` (at number / 25 s), its planes in yuv420p, and its size."""

    number: int
    planes: memoryview
    width: int
    height: int


@dataclass
class Counts:
    """What became of a stream.

    Attributes:
        ticks: of the clock. pictures: sent. late: of these, sent after their time. missing: never sent. dropped: left
            out by the worker, for being late. skipped: items that a slow viewer lost. restarts: workers that were
            replaced. stalls: times that the clock was set anew. work_s: seconds that the worker spent on the pictures.
    """

    ticks: int = 0
    pictures: int = 0
    late: int = 0
    missing: int = 0
    dropped: int = 0
    skipped: int = 0
    restarts: int = 0
    stalls: int = 0
    work_s: float = 0.0


class Clock:
    """Time that never goes back.

    Args:
        speed: seconds that go by in a second.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed

    def now(self) -> float:
        """Seconds since some beginning."""
        return time.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait for so much of this clock's time."""
        await asyncio.sleep(seconds / self._speed)


class Viewing:
    """One viewer's items of one kind, in order."""

    def __init__(self, counts: Counts) -> None:
        self._items: asyncio.Queue[Any] = asyncio.Queue(WAITING)
        self._counts = counts

    def put(self, item: Any) -> None:
        """Add the newest; where there is no room the oldest goes."""
        if self._items.full():
            self._items.get_nowait()
            self._counts.skipped += 1
        self._items.put_nowait(item)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._items.empty()

    async def get(self) -> Any:
        """The oldest; None when the stream has ended."""
        return await self._items.get()


class RenderedStream:
    """Speech that is pushed appears as sound and pictures.

    Args:
        plan: what is shown (``speakers.FootagePlan``, ``speakers.AvatarPlan``).
        clock: real time by default.

    Attributes:
        texts: that are said or wait, of all its viewers. turn: held by the one that is said.
    """

    def __init__(self, plan: worker.Plan, clock: Clock | None = None) -> None:
        self._plan = plan
        self._clock = clock or Clock()
        self.counts = Counts()
        self.width = self.height = self.ahead = 0
        self.failed: str | None = None
        self.texts: set[asyncio.Task[None]] = set()
        self.turn = asyncio.Lock()
        self._playout = Playout(0)
        self._viewers: dict[str, list[Viewing]] = {"audio": [], "video": []}
        self._made: dict[int, worker.Frame] = {}
        self._recent: deque[Float] = deque()
        self._due = 0
        self._shown = -1
        self._begun = False
        self._cuts = self._old_drops = self._lost = 0
        self._heard_from = 0.0
        self._process: RenderProcess | None = None
        self._ready = asyncio.Event()
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def delay_s(self) -> float:
        """From sound pushed to sound and mouth out, without network and coding."""
        return (self.ahead + worker.LEAD) / FRAME_HZ

    @property
    def waiting_s(self) -> float:
        """Seconds of speech that were pushed and not begun yet."""
        return self._playout.waiting_s

    @property
    def underruns(self) -> int:
        """Blocks of 40 ms in which a speech did not arrive in time."""
        return self._playout.counts.underruns

    @property
    def running(self) -> bool:
        """Whether its clock runs."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Start the process and the clock.

        Raises:
            KouxingError: what the process cannot use, or it does not start.
        """
        self._spawn()
        try:
            await within(self._ready.wait(), START_S)
            if self.failed:
                raise KouxingError(self.failed)
        except BaseException as error:
            self._end_process()
            if isinstance(error, TimeoutError):
                raise KouxingError(f"the picture process did not start in {START_S:.0f} s; try again") from None
            raise
        self._playout.ahead = self.ahead + worker.LEAD
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End the process; viewers get None."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._stop_viewers()
        self._end_process()

    def push_sound(self, samples: Float, live: bool = False) -> int:
        """Speech: ``[N] float32`` at ``SAMPLE_HZ``, -1..1. A ``live`` source comes in real time; of it no more than
        0.4 s wait. The number of samples taken."""
        return self._playout.push(samples, live)

    def end(self) -> None:
        """The speech is complete."""
        self._playout.end()

    def interrupt(self) -> None:
        """Silence and a mouth at rest at once; what waits is forgotten."""
        number = self._due + 1
        self._playout.interrupt(number)
        self._cuts += 1
        for place in [place for place in self._made if place > number]:
            del self._made[place]
        begun = self._playout.taken - len(self._recent)
        for place in range(max(number - begun, 0), len(self._recent)):
            self._recent[place] = worker.SILENCE
        self._send(worker.pack_cut(number))

    def view(self, kind: str) -> Viewing:
        """Items of ``audio`` (``Sound``) or ``video`` (``Picture``) from now on."""
        viewing = Viewing(self.counts)
        self._viewers[kind].append(viewing)
        return viewing

    def leave(self, viewing: Viewing) -> None:
        """A viewer is gone."""
        for viewers in self._viewers.values():
            if viewing in viewers:
                viewers.remove(viewing)

    # The clock.

    async def _run(self) -> None:
        now = self._clock.now
        self._heard_from = now()
        for _ in range(self._playout.ahead):
            self._hear()
        # The first picture takes longest; the clock starts with it, so that none is late from the beginning.
        await within(self._first.wait(), START_S)
        begun, tick = now(), 0
        self._begun = True
        while True:
            behind = now() - begun - tick * TICK_S
            if behind < 0:
                await self._clock.sleep(-behind)
                continue
            if behind > BEHIND_S:
                begun += behind
                self._heard_from = now()
                self.counts.stalls += 1
            self._tick(tick, now())
            tick += 1
            # Ticks that are caught up with come one after the other: who looks gets a turn before there is no room.
            await asyncio.sleep(0)

    def _tick(self, tick: int, now: float) -> None:
        number, half = divmod(tick, HALVES)
        if not half:
            self._due = number
            self._hear()
            self._show(number)
            if now - self._heard_from > (SILENT_S if self._ready.is_set() else START_S):
                log.warning("a picture process hangs; it is replaced")
                self._replace()
        block = self._playout.played(number)
        self._give("audio", Sound(tick, block[half * HALF : (half + 1) * HALF]))
        self.counts.ticks += 1

    def _hear(self) -> None:
        """Take a block of sound and let the process hear it."""
        block = self._playout.take()
        self._recent.append(block)
        if len(self._recent) > self._playout.ahead + FRAME_HZ:
            self._recent.popleft()
        self._send(worker.pack_block(block))

    def _show(self, number: int) -> None:
        frame = self._made.pop(number, None)
        for old in [place for place in self._made if place < number]:
            del self._made[old]
        if frame is not None:
            self._send_out(frame)

    def _send_out(self, frame: worker.Frame) -> None:
        self.counts.missing += frame.number - self._shown - 1
        self._shown = frame.number
        self.counts.pictures += 1
        self._give("video", Picture(frame.number, frame.planes, self.width, self.height))

    def _give(self, kind: str, item: Any) -> None:
        for viewing in self._viewers[kind]:
            viewing.put(item)

    def _stop_viewers(self) -> None:
        for kind in self._viewers:
            self._give(kind, None)

    # The process.

    def _spawn(self) -> None:
        self._ready.clear()
        self._heard_from = self._clock.now()
        self._process = RenderProcess(self._plan, self._heard)

    def _heard(self, process: RenderProcess, message: bytes | None) -> None:
        """A message of the process; None: it is gone."""
        if process is not self._process:
            return
        kind = (message or b"")[:1]
        self._heard_from = self._clock.now()
        if message is None:
            self._gone()
        elif kind == worker.FRAME:
            self._take(worker.Frame.read(message))
        elif kind == worker.READY:
            self.ahead, self.width, self.height = worker.read_ready(message)
            self._ready.set()
            # Interrupted while it started: it has heard of none, and the blocks that it is sent are silent already.
            self._cuts = 0
            self._send(worker.pack_begin(self._playout.taken - len(self._recent)))
            for block in self._recent:
                self._send(worker.pack_block(block))
        elif kind == worker.FAILED:
            self.failed = message[1:].decode("utf-8", "replace")
            self._ready.set()

    def _take(self, frame: worker.Frame) -> None:
        self._lost = 0
        self._first.set()
        self.counts.work_s += frame.work_s
        self.counts.dropped = self._old_drops + frame.dropped
        # One made before the process knew of an interruption shows speech that is no longer heard.
        if frame.cuts != self._cuts or frame.number <= self._shown:
            return
        if frame.number > self._due or not self._begun:
            self._made[frame.number] = frame
        elif frame.number >= self._due - LATEST:
            # It still bears its time, so that viewers can keep it in step with the sound.
            self.counts.late += 1
            self._send_out(frame)

    def _gone(self) -> None:
        if self._task is None:
            self.failed = self.failed or "the picture process ended as it started; see the log"
            self._ready.set()
            return
        log.warning("a picture process is gone; it is replaced")
        self._replace()

    def _replace(self) -> None:
        self._end_process()
        self._lost += 1
        if self._lost > RESTARTS:
            self.failed = "the picture process ends again and again; see the log"
            if self._task is not None:
                self._task.cancel()
            self._stop_viewers()
            return
        self.counts.restarts += 1
        self._old_drops = self.counts.dropped
        self._spawn()

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _send(self, message: bytes) -> None:
        # To one that is not ready yet, nothing: it is sent the latest blocks when it is.
        if self._process is not None and (self._task is None or self._ready.is_set()):
            self._process.send(message)
