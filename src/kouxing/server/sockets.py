"""Connections that send nothing: uvicorn waits for them for ever, we do not."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

FIRST_S = 10.0
"""In which a connection must send a whole request's head; also between two requests' heads, by uvicorn's keep-alive."""


class ImpatientProtocol(H11Protocol):
    """HTTP whose half-open connections are closed."""

    _first: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._first = self.loop.call_later(FIRST_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Stop the clock at the first whole request."""
        super().handle_events()
        if self.cycle is not None:
            self._stop()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """From here on the WebSocket's own limits hold."""
        self._stop()
        super().handle_websocket_upgrade(event)

    def _stop(self) -> None:
        if self._first is not None:
            self._first.cancel()
            self._first = None

    def _give_up(self) -> None:
        self._first = None
        if not self.transport.is_closing():
            self.transport.abort()
