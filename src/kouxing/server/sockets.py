"""Connections that send nothing or read nothing: uvicorn waits for them for ever, and takes any number of one address;
we do not.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from kouxing.server.limits import net_of
from kouxing.server.security import is_loopback

FIRST_S = 10.0
"""In which a connection must send a whole request's head: from its beginning, and again from each answer on. (Uvicorn's
own clock between two requests stops for good at the first byte of the next.)"""


MOST_OPEN = 64
"""HTTP connections of one address, those that wait for a request included. Those of this machine are not counted: all
that a proxy lets through come from there."""


class ImpatientProtocol(H11Protocol):
    """HTTP whose half-open connections are closed, and those of one address counted."""

    _first: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        if self._too_many():
            transport.abort()
            return
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Stop the clock while a request is at work."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()

    def on_response_complete(self) -> None:
        """Start it again, whether or not the request's own body has come to its end."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._start()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """From here on the WebSocket's own limits hold."""
        self._stop()
        super().handle_websocket_upgrade(event)

    def _too_many(self) -> bool:
        if self.client is None:
            return False
        own, others = net_of(self.client[0]), (getattr(one, "client", None) for one in self.connections)
        if is_loopback(own) or is_loopback(self.client[0]):
            return False
        return sum(net_of(one[0]) == own for one in others if one) > MOST_OPEN

    def _start(self) -> None:
        self._stop()
        self._first = self.loop.call_later(FIRST_S, self._give_up)

    def _stop(self) -> None:
        if self._first is not None:
            self._first.cancel()
            self._first = None

    def _give_up(self) -> None:
        self._first = None
        if not self.transport.is_closing():
            self.transport.abort()


class ImpatientSocket(WebSocketsSansIOProtocol):
    """WebSockets that are cut off when the other side stops reading.

    Uvicorn only closes them, which waits until all that was written is read.
    """

    _full: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """As much waits as may: start the clock."""
        super().pause_writing()
        self._go_on()
        self._full = self.loop.call_later(self._patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It is read again."""
        self._go_on()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._go_on()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """Who does not answer a ping does not read a goodbye either."""
        super().keepalive_timeout()
        self.transport.abort()

    async def send(self, message: Any) -> None:
        """A goodbye that nobody reads is not waited for."""
        await super().send(message)
        if message["type"] == "websocket.close":
            self.loop.call_later(self.close_timeout + self._patience_s, self.transport.abort)

    @property
    def _patience_s(self) -> float:
        return float(self.ping_timeout or FIRST_S)

    def _go_on(self) -> None:
        if self._full is not None:
            self._full.cancel()
            self._full = None
