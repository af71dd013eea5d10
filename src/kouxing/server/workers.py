"""One worker, seen from the server: a process of this machine, or whatever else speaks ``server.pipe``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from kouxing.server.pipe import Reader, Say, packed

LOG = logging.getLogger("kouxing.server")

Heard = Callable[["Worker", Say, int, bytes], None]
"""Takes a worker's message: from whom, what it is about, the stream's number, the rest."""


@dataclass(eq=False)
class Worker(ABC):
    """How it is reached is its subclasses' business.

    Attributes:
        heard: takes its messages.
        load: numbers of the streams that it hears.
        waiting: a question was not answered yet.
        pid: of its process, 0 while it has none.
        gone: it takes nothing any more. exited: its process has ended.
    """

    heard: Heard
    load: set[int] = field(default_factory=set)
    ready: bool = False
    was_ready: bool = False
    waiting: bool = False
    pid: int = 0

    def __post_init__(self) -> None:
        self.gone, self.exited = asyncio.Event(), asyncio.Event()
        self._reader = Reader()

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Hand over a message; never waits."""

    @abstractmethod
    def end(self) -> None:
        """Let it end by itself."""

    @abstractmethod
    def kill(self) -> None:
        """End it now."""

    @abstractmethod
    def release(self) -> None:
        """Free what it holds here; it is gone."""

    def ask(self) -> None:
        """Ask for a sign of life."""
        self.waiting = True
        self.send(packed(Say.PING))

    def take(self, data: bytes) -> None:
        """Bytes that came from it."""
        self.waiting = False
        try:
            for say, stream, payload in self._reader.feed(data):
                self.heard(self, say, stream, payload)
        except ValueError:
            LOG.warning("worker %s speaks nonsense; it is replaced", self.pid)
            self.kill()

    def lost(self) -> None:
        """It takes nothing any more."""
        self.ready = False
        self.gone.set()


class Process(asyncio.SubprocessProtocol, Worker):
    """A worker process of this machine, reached by its standard input and output.

    Args:
        heard: see ``Worker``.
    """

    def __init__(self, heard: Heard) -> None:
        Worker.__init__(self, heard)
        self._transport: asyncio.SubprocessTransport | None = None
        self._in: asyncio.WriteTransport | None = None

    @staticmethod
    async def begin(heard: Heard, command: Sequence[str]) -> Process:
        """Start one."""
        loop = asyncio.get_running_loop()
        # Ctrl-C in a terminal reaches the whole group; a worker ends with its input.
        made = await loop.subprocess_exec(
            lambda: Process(heard), *command, stdin=-1, stdout=-1, stderr=None, start_new_session=True
        )
        return made[1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Its pipes are there."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid()
        self._in = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """It says something."""
        self.take(cast(bytes, data))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """It says nothing any more."""
        if fd == 1:
            self.lost()

    def process_exited(self) -> None:
        """It has ended."""
        self.exited.set()
        self.lost()

    def send(self, data: bytes) -> None:
        """See ``Worker``."""
        if self._in is not None and not self._in.is_closing():
            self._in.write(data)

    def end(self) -> None:
        """See ``Worker``: a process ends when its input does."""
        self.ready = False
        if self._in is not None:
            self._in.close()

    def kill(self) -> None:
        """See ``Worker``."""
        self.lost()
        if self._transport is not None:
            with contextlib.suppress(ProcessLookupError):
                self._transport.kill()

    def release(self) -> None:
        """See ``Worker``."""
        if self._transport is not None:
            self._transport.close()
