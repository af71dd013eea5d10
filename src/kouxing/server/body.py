"""How much the body of a request may bring, and how long that may take: for all routes, whatever reads it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import Message, Receive

from kouxing.server.deadline import within
from kouxing.server.limits import Limits
from kouxing.server.protocol import Refused

UPLOADS, SOUNDS = "/v1/jobs/", ("/sound", "/speech")
"""How the paths begin that take files, and how those end that take sound."""


@dataclass(frozen=True)
class Bounds:
    """Of one body.

    Attributes:
        size: bytes. idle_s: in which the next piece must come. whole_s: in which all of it must.
    """

    size: int
    idle_s: float
    whole_s: float


def bounds_of(path: str, limits: Limits) -> Bounds:
    """What ``path`` may be sent."""
    if path.startswith(UPLOADS):
        return Bounds(limits.upload_bytes, limits.upload_idle_s, limits.upload_whole_s)
    if path.endswith(SOUNDS):
        return Bounds(limits.sound_bytes, limits.upload_idle_s, limits.upload_whole_s)
    return Bounds(limits.body_bytes, limits.body_s, limits.body_s)


class Body:
    """An ASGI ``receive`` that raises ``Refused`` where a body is too large or too slow.

    Args:
        receive: the server's. bounds: see there.

    Attributes:
        refused: what it raised: frameworks that read the body themselves turn it into something of their own.
    """

    def __init__(self, receive: Receive, bounds: Bounds) -> None:
        self._receive, self._bounds = receive, bounds
        self._end_s = asyncio.get_running_loop().time() + bounds.whole_s
        self._size, self._whole = 0, False
        self.refused: Refused | None = None

    async def receive(self) -> Message:
        """The next message; behind the body's end it waits for the client to go, as long as that takes.

        Raises:
            Refused: too large, or too slow.
        """
        if self._whole:
            return await self._receive()
        left_s = self._end_s - asyncio.get_running_loop().time()
        try:
            message = await within(self._receive(), min(self._bounds.idle_s, left_s))
        except TimeoutError:
            raise self._refuse("timeout", self._late(left_s)) from None
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        self.check(self._size)
        return message

    def check(self, size: int) -> None:
        """Whether so many bytes may come.

        Raises:
            Refused: they may not.
        """
        if size > self._bounds.size:
            raise self._refuse("large", f"at most {_readable(self._bounds.size)} are taken")

    def _late(self, left_s: float) -> str:
        whole_s = self._bounds.whole_s
        if left_s >= self._bounds.idle_s:
            return f"the upload stood still for {self._bounds.idle_s:g} s"
        told = f"{whole_s / 60:g} minutes" if whole_s >= 60 else f"{whole_s:g} s"
        return f"the upload was not complete after {told}; send a smaller file"

    def _refuse(self, code: str, message: str) -> Refused:
        self.refused = Refused(code, message)
        return self.refused


def _readable(size: int) -> str:
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} KB"
