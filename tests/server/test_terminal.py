"""A terminal's connection that breaks at the worst moment."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("fastapi")

from starlette.websockets import WebSocketDisconnect

from kouxing.server.hello import Hello
from kouxing.server.limits import Limits
from kouxing.server.live import Live
from kouxing.server.protocol import Refused
from kouxing.server.security import Guard
from kouxing.server.terminal import Terminal
from server.live_world import PoolAtHand


class Gone:
    """A WebSocket whose client says hello and is gone before it is answered."""

    headers: dict[str, str] = {"host": "localhost"}  # noqa: RUF012
    client = None

    def __init__(self, hello: dict[str, Any]) -> None:
        self._hello = hello

    async def accept(self) -> None:
        """The handshake."""

    async def receive(self) -> dict[str, Any]:
        return {"type": "websocket.receive", "text": json.dumps(self._hello)}

    async def send_text(self, text: str) -> None:
        raise WebSocketDisconnect(1006)


def test_a_watcher_that_leaves_before_the_answer_does_not_hold_the_session() -> None:
    async def run() -> None:
        live = Live(PoolAtHand(), Guard("127.0.0.1"), Limits())  # type: ignore[arg-type]
        session = live.create(Hello())
        live.link(session, Hello())
        listeners = session.listeners
        await Terminal(live, Gone({"kouxing": 1, "watch": session.name})).serve()  # type: ignore[arg-type]
        assert session.listeners == listeners and not session.wanted
        live.end(session)

    asyncio.run(run())


class Sent:
    """A WebSocket that keeps what it is sent."""

    headers: dict[str, str] = {"host": "localhost"}  # noqa: RUF012

    def __init__(self) -> None:
        self.sent: list[bytes | str] = []
        self.closed: int | None = None

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)

    async def send_text(self, text: str) -> None:
        self.sent.append(text)

    async def close(self, code: int, reason: str = "") -> None:
        self.closed = code


def test_a_connection_that_was_replaced_gets_no_number_of_its_successors_frames() -> None:
    async def run() -> None:
        live = Live(PoolAtHand(), Guard("127.0.0.1"), Limits())  # type: ignore[arg-type]
        session = live.create(Hello())
        link = live.link(session, Hello())
        old, new = Sent(), Sent()
        terminal = Terminal(live, old)  # type: ignore[arg-type]
        terminal._link = link
        link.join(new, 0)  # type: ignore[arg-type]
        number = link._wire.sequence
        await terminal._refuse(Refused("busy", "too many messages"))
        assert old.closed == 4429 and not old.sent and link._wire.sequence == number
        assert live.find(session.name) is session
        live.end(session)

    asyncio.run(run())
