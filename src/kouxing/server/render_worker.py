"""A process that makes one stream's pictures: sound in by a pipe, pictures out, late ones left out.

Messages are bytes: one for what it is, then numbers, then samples or planes (``pack_…`` and ``Frame.read``). Nobody
else writes to the pipe, and nothing in it is unpickled.
"""

from __future__ import annotations

import signal
import struct
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np

from kouxing.config import one_thread_a_library
from kouxing.errors import KouxingError
from kouxing.types import Float
from kouxing.units import SAMPLES_PER_FRAME

BEGIN, BLOCK, CUT, READY, FRAME, FAILED = b"B", b"S", b"C", b"R", b"F", b"E"
_NUMBER = struct.Struct("<q")
_READY = struct.Struct("<iii")
_FRAME = struct.Struct("<qqqd")

LEAD = 2
"""Pictures that are made before their time, so that a slow one is not late at once."""


class Plan(Protocol):
    """What is to be shown; goes to the process as it starts."""

    def make(self) -> object:
        """-> a ``speakers.Speaker``."""
        ...


@dataclass(frozen=True)
class Frame:
    """A picture that was made.

    Attributes:
        number: which. cuts: interruptions that were known then. dropped: pictures left out so far, for being late.
        work_s: time it took. planes: yuv420p.
    """

    number: int
    cuts: int
    dropped: int
    work_s: float
    planes: memoryview

    @classmethod
    def read(cls, message: bytes) -> Frame:
        """From a ``FRAME`` message."""
        number, cuts, dropped, work_s = _FRAME.unpack_from(message, 1)
        return cls(number, cuts, dropped, work_s, memoryview(message)[1 + _FRAME.size :])


def pack_begin(number: int) -> bytes:
    """The first block to come is block ``number``."""
    return BEGIN + _NUMBER.pack(number)


def pack_block(samples: Float) -> bytes:
    """The next block ``[640] float32``; silence takes no room."""
    return BLOCK + (samples.astype("<f4").tobytes() if samples.any() else b"")


def pack_cut(number: int) -> bytes:
    """An interruption: from block ``number`` on there was silence."""
    return CUT + _NUMBER.pack(number)


def read_ready(message: bytes) -> tuple[int, int, int]:
    """``ahead``, width, height of a ``READY`` message."""
    ahead, width, height = _READY.unpack_from(message, 1)
    return ahead, width, height


def run(plan: Plan, pipe: Connection) -> None:
    """The process: make what the plan says, then pictures until the pipe closes."""
    # Ctrl-C in a terminal reaches the whole group; the server ends its workers itself, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_thread_a_library()
    try:
        speaker = plan.make()
    except KouxingError as error:
        pipe.send_bytes(FAILED + str(error).encode())
        return
    try:
        _Work(speaker, pipe)()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        # The server has closed the stream, or is gone.
        pass
    finally:
        speaker.close()  # type: ignore[attr-defined]


class _Work:
    """The loop of the process."""

    def __init__(self, speaker: object, pipe: Connection) -> None:
        from kouxing.server.speakers import Speaker

        self._speaker: Speaker = speaker  # type: ignore[assignment]
        self._pipe = pipe
        self._base = self._heard = self._next = self._cuts = self._dropped = 0
        pipe.send_bytes(READY + _READY.pack(self._speaker.ahead, self._speaker.width, self._speaker.height))

    def __call__(self) -> None:
        while True:
            self._take(self._pipe.recv_bytes())
            while self._next <= self._newest():
                while self._pipe.poll(0):
                    self._take(self._pipe.recv_bytes())
                self._leave_out()
                began = time.perf_counter()
                planes = self._speaker.picture(self._next)
                head = _FRAME.pack(self._next + self._base, self._cuts, self._dropped, time.perf_counter() - began)
                self._pipe.send_bytes(FRAME + head + planes)
                self._next += 1

    def _newest(self) -> int:
        """The last picture whose sound is known."""
        return self._heard - 1 - self._speaker.ahead

    def _leave_out(self) -> None:
        """The server sends a block when the picture ``LEAD`` before the newest is due. Who is as late as that goes on
        with the newest: the one that is due now could not be made in time either."""
        if self._newest() - self._next >= LEAD:
            self._dropped += self._newest() - self._next
            self._next = self._newest()

    def _take(self, message: bytes) -> None:
        kind = message[:1]
        if kind == BLOCK:
            samples = np.frombuffer(message, "<f4", offset=1) if len(message) > 1 else None
            self._speaker.hear(SILENCE if samples is None else samples)
            self._heard += 1
        elif kind == CUT:
            number = _NUMBER.unpack_from(message, 1)[0] - self._base
            self._cuts += 1
            self._speaker.cut(max(number, 0))
            # What was made of the interrupted speech is made anew.
            self._next = max(min(self._next, number), 0)
        elif kind == BEGIN:
            self._base = _NUMBER.unpack_from(message, 1)[0]
            self._speaker.begin(self._base)


SILENCE = np.zeros(SAMPLES_PER_FRAME, np.float32)
"""A block in which nobody speaks."""
