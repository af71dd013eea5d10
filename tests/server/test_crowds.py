"""Many connections of one address, pages of other origins, texts that are long to say, and the server's goodbye."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")

import httpx
import websockets

from kouxing.server.app import create_app
from kouxing.server.hello import Hello
from kouxing.server.limits import Limits, net_of
from kouxing.server.live import Live
from kouxing.server.protocol import MOST_EVENT_BYTES, Frame, Kind, event_bytes
from kouxing.server.rtc_hub import RenderHub, RenderSettings
from kouxing.server.security import Guard
from kouxing.server.serve import bind, server_of
from kouxing.server.sockets import MOST_OPEN, ImpatientProtocol
from kouxing.server.terminal import Terminal
from kouxing.server.text import SpokenPiece
from kouxing.server.texts import Texts
from server.live_world import Client, PoolAtHand


def world(host: str = "127.0.0.1", token: str | None = None) -> Live:
    return Live(PoolAtHand(), Guard(host, token), Limits())  # type: ignore[arg-type]


def test_ipv4_addresses_are_counted_apart_on_sockets_of_both_kinds() -> None:
    assert net_of("::ffff:10.0.0.1") == net_of("10.0.0.1") == "10.0.0.1"
    assert net_of("::ffff:10.0.0.2") != net_of("::ffff:10.0.0.1")
    assert net_of("2001:db8::1") == net_of("2001:db8::2") != net_of("2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("10.0.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("10.0.0.2", False),
        ("127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
    ],
)
def test_one_address_cannot_hold_all_connections(address: str, refused: bool) -> None:
    protocol: Any = ImpatientProtocol.__new__(ImpatientProtocol)
    protocol.client = (address, 1)
    other = address if "127" in address else "10.0.0.1"
    protocol.connections = [SimpleNamespace(client=(other, port)) for port in range(MOST_OPEN)] + [protocol]
    assert protocol._too_many() is refused
    protocol.connections = protocol.connections[1:]
    assert not protocol._too_many()


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("127.0.0.1", "http://localhost:3000", True),
        ("127.0.0.1", "http://[::1]:8080", True),
        ("127.0.0.1", "https://evil.example", False),
        ("127.0.0.1", "http://localhost.evil.example", False),
        ("10.0.0.5", "http://localhost:3000", False),
    ],
)
def test_pages_of_this_machine_may_use_a_server_of_this_machine(host: str, origin: str, allowed: bool) -> None:
    app = create_app(world(host, None if host == "127.0.0.1" else "a secret token"), [], Path("nowhere"))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            asked = {"origin": origin, "access-control-request-method": "POST"}
            return await client.options("/v1/sessions", headers=asked)

    answer = asyncio.run(ask())
    assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


def test_what_comes_after_a_sessions_end_is_not_obeyed() -> None:
    async def run() -> None:
        live = world()
        session = live.create(Hello())
        link = live.link(session, Hello())
        socket: Any = SimpleNamespace()
        terminal = Terminal(live, socket)
        terminal._link = link
        link.join(socket, 0)
        live.end(session)
        # Nothing is sent, and the connection is left to whom it tells the session's last.
        assert not await terminal._take(Frame(Kind.PING, b"", 0))

    asyncio.run(run())


class Mouth:
    """Keeps the events of what it is to say."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def room(self) -> None: ...

    async def quiet(self) -> None: ...

    def say_piece(self, piece: SpokenPiece, told: dict[str, Any]) -> None:
        self.told.append(told)

    def end_text(self) -> None: ...


def test_a_piece_with_very_many_phones_still_fits_an_event() -> None:
    phones = tuple(SimpleNamespace(symbol="aɪ", start_s=0.05 * one, end_s=0.05 * (one + 1)) for one in range(900))

    async def speak(text: str, language: str) -> AsyncIterator[Any]:
        yield SimpleNamespace(text=text, phones=phones)

    async def run() -> dict[str, Any]:
        mouth = Mouth()
        texts = Texts(mouth, speak, 100, 1)  # type: ignore[arg-type]
        texts.add("$1000000.77", "en", None)
        while not mouth.told:
            await asyncio.sleep(0.01)
        return mouth.told[0]

    told = asyncio.run(run())
    assert len(event_bytes({"event": "text", **told})) <= MOST_EVENT_BYTES
    assert 400 < len(told["phones"]) < 900 and told["phones"][0] == ["aɪ", 0.0, 0.05]


def test_a_rendered_stream_gets_all_of_a_long_text() -> None:
    class Stream:
        """Holds five seconds, of which one passes with each look."""

        running, held, taken, ended = True, 0, 0, False

        @property
        def waiting_s(self) -> float:
            self.held = max(self.held - 1, 0)
            return self.held

        def push_sound(self, samples: Any) -> None:
            kept = min(len(samples), 5 - self.held)
            self.held, self.taken = self.held + kept, self.taken + kept

        def end(self) -> None:
            self.ended = True

    async def speak(text: str, language: str) -> AsyncIterator[Any]:
        for _ in range(20):
            yield SimpleNamespace(samples=np.zeros(2))

    stream: Any = Stream()
    hub = RenderHub(RenderSettings(), lambda name: None, speak)  # type: ignore[arg-type]
    asyncio.run(hub._say(stream, "text", "en"))
    assert stream.taken == 40 and stream.ended


def test_terminals_are_told_that_the_server_goes_away() -> None:
    live, ready = world(), threading.Event()
    live.when_ready = ready.set
    running, bound = server_of(create_app(live, [], Path("nowhere"))), bind("127.0.0.1", 0)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    assert ready.wait(20)

    async def story() -> int | None:
        client = await Client.connect(f"ws://127.0.0.1:{bound.getsockname()[1]}/v1/live")
        running.should_exit = True
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await client.take()
        return None if closed.value.rcvd is None else closed.value.rcvd.code

    assert asyncio.run(asyncio.wait_for(story(), 20)) == 1001
    thread.join(20)
    assert not thread.is_alive()
