"""The picture process of one rendered stream (``render_worker``), seen from the server's event loop.

Nothing here waits: one thread hands messages to the process, another hears what it says. A process that hangs takes no
messages, and must not hold up the loop that would replace it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from kouxing.server import render_worker as worker

NAME = "kouxing-pictures"
"""Of the process, and of the threads that talk with it."""
JOIN_S = 5.0

Heard = Callable[["RenderProcess", bytes | None], None]
"""Takes a message of the process, in the loop's thread; None: it is gone."""


class RenderProcess:
    """A process that runs.

    Args:
        plan: what is to be shown.
        heard: takes what it says.
    """

    def __init__(self, plan: worker.Plan, heard: Heard) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: Any = context.Process(target=worker.run, args=(plan, theirs), name=NAME, daemon=True)
        self._process.start()
        theirs.close()
        self._heard = heard
        self._letters: SimpleQueue[bytes | None] = SimpleQueue()
        self._post = threading.Thread(target=_post, args=(self._pipe, self._letters), name=NAME, daemon=True)
        self._post.start()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(self._pipe, loop), name=NAME, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number."""
        return int(self._process.pid)

    def send(self, message: bytes) -> None:
        """Hand over a message; never waits. What is sent to one that hangs waits until it is ended."""
        self._letters.put(message)

    def end(self) -> None:
        """End it now. The listening thread reads to the end of the pipe, which comes with the process's, and closes."""
        self._process.kill()
        threading.Thread(target=self._process.join, args=(JOIN_S,), name="kouxing-joining", daemon=True).start()

    def _listen(self, pipe: Connection, loop: asyncio.AbstractEventLoop) -> None:
        message: bytes | None = b""
        while message is not None:
            try:
                message = pipe.recv_bytes()
            except (EOFError, OSError):
                message = None
            try:
                loop.call_soon_threadsafe(self._heard, self, message)
            except RuntimeError:
                # The loop has ended.
                break
        self._letters.put(None)
        self._post.join(JOIN_S)
        pipe.close()


def _post(pipe: Connection, letters: SimpleQueue[bytes | None]) -> None:
    """A thread that hands messages over, as far as they are taken."""
    while (message := letters.get()) is not None:
        try:
            pipe.send_bytes(message)
        except OSError:
            # It is gone; the listening thread tells.
            return
