"""Who asks too often over HTTP, and the model that pages ask for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

import httpx
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from kouxing.errors import OptionError
from kouxing.server import limits
from kouxing.server.app import create_app
from kouxing.server.body import bounds_of
from kouxing.server.limits import Addresses, Bucket, Limits
from kouxing.server.live import Live
from kouxing.server.protocol import Refused
from kouxing.server.routes import model_router
from kouxing.server.security import Guard
from kouxing.server.serve import Order, build
from server.live_world import PoolAtHand

MODEL = "/v1/models/face_landmarker.task"
HELLO = '{"kouxing": 1}'


class Asker:
    """A server in this process, asked from addresses."""

    def __init__(self, given: Limits, model: Path | None = None, token: str | None = None) -> None:
        self.live = Live(PoolAtHand(), Guard("127.0.0.1", token), given)  # type: ignore[arg-type]
        self._app = create_app(self.live, [model_router(model)], Path("nowhere"))

    def get(self, path: str, address: str = "127.0.0.1", token: str | None = None) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(address, 5))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())


class Caller:
    """A WebSocket to a server in this process, from an address."""

    def __init__(self, app: Any, address: str) -> None:
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._in.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket", "path": "/v1/live", "raw_path": b"/v1/live", "query_string": b"", "root_path": "",
            "scheme": "ws", "headers": [(b"host", b"localhost")], "client": (address, 5), "subprotocols": [],
            "asgi": {"version": "3.0"},
        }  # fmt: skip
        self._task = asyncio.ensure_future(app(scope, self._in.get, self._out.put))

    async def heard(self) -> dict[str, Any]:
        return await asyncio.wait_for(self._out.get(), 20)

    def say(self, text: str) -> None:
        self._in.put_nowait({"type": "websocket.receive", "text": text})

    async def leave(self) -> None:
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self._task, 20)


def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    asker = Asker(Limits(http_hz=0.001, http_burst=3))
    statuses = [asker.get("/v1/sessions").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    answer = asker.get("/")
    assert answer.status_code == 429 and answer.json()["error"]["code"] == "busy"
    # A thousand seconds a request, less what has passed.
    assert 500 < int(answer.headers["retry-after"]) <= 1000
    # Others, and what watches the server, are not shut out by that.
    assert asker.get("/v1/sessions", "10.0.0.7").status_code == 200
    assert [asker.get(path).status_code for path in ("/v1/health", "/metrics")] == [200, 200]
    assert asker.live.counts.refused["busy"] == 2


def test_tokens_cannot_be_tried_without_end() -> None:
    asker = Asker(Limits(http_hz=0.001, http_burst=5), token="the right one")
    statuses = [asker.get("/v1/sessions", token=f"wrong {k}").status_code for k in range(8)]
    assert statuses == [401] * 5 + [429] * 3


@pytest.mark.parametrize("origin", ["http://[", "http://]x", "http://[::1", "null", "\x7f"])
def test_origins_that_are_none_are_refused(origin: str) -> None:
    with pytest.raises(Refused, match="other sites"):
        Guard("127.0.0.1").check_origin({"host": "localhost:8765", "origin": origin})
    with pytest.raises(OptionError, match="--allow-origin"):
        Guard("127.0.0.1", origins=[origin])


def test_nought_is_no_limit() -> None:
    asker = Asker(Limits(http_hz=0, http_burst=1))
    assert {asker.get("/v1/sessions").status_code for _ in range(5)} == {200}


def test_one_network_is_one_address_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known: Any = Addresses(1, 1)
    assert known.wait_s("2001:db8::1", 0.0) == 0
    assert known.wait_s("2001:db8::ffff:1", 0.0) == 1
    assert known.wait_s("2001:db8:0:1::1", 0.0) == 0
    assert known.wait_s("not an address", 0.0) == 0
    monkeypatch.setattr(limits, "MOST_ADDRESSES", 10)
    for number in range(100):
        known.wait_s(f"10.0.0.{number}", 0.0)
    assert len(known._buckets) <= 10


def test_one_address_cannot_hold_all_places_without_a_hello() -> None:
    async def story() -> None:
        live = Live(PoolAtHand(), Guard("127.0.0.1", "the right one"), Limits(strangers=2, hello_s=600))  # type: ignore[arg-type]
        app = create_app(live, page=Path("nowhere"))

        async def entered(address: str) -> Caller:
            caller = Caller(app, address)
            assert (await caller.heard())["type"] == "websocket.accept"
            await asyncio.sleep(0)
            return caller

        async def refused(address: str) -> None:
            caller = await entered(address)
            error = json.loads((await caller.heard())["text"])["error"]
            assert error["code"] == "busy" and "2 connections from one address" in error["message"]
            assert (await caller.heard())["code"] == 4429

        first, second = await entered("2001:db8::1"), await entered("2001:db8::2")
        await refused("2001:db8::3")
        # Others are not shut out by that, loopback's bound is its own.
        others = [await entered("10.0.0.7"), await entered("127.0.0.1"), await entered("127.0.0.1")]
        await refused("127.0.0.1")
        assert live.counts.refused["busy"] == 2
        # A hello with the token, one without it, and leaving: each frees a place.
        first.say(json.dumps({**json.loads(HELLO), "token": "the right one"}))
        assert "session" in json.loads((await first.heard())["text"])
        third = await entered("2001:db8::3")
        await refused("2001:db8::4")
        second.say(HELLO)
        assert json.loads((await second.heard())["text"])["error"]["code"] == "token"
        fourth = await entered("2001:db8::4")
        await third.leave()
        fifth = await entered("2001:db8::5")
        await refused("2001:db8::6")
        for caller in (first, second, fourth, fifth, *others):
            await caller.leave()
        assert live.connections == 0 and not live.strangers._waiting
        await live.close()

    asyncio.run(story())


@given(st.lists(st.floats(0, 3), max_size=40))
def test_after_the_told_wait_one_may_pass(waits: list[float]) -> None:
    bucket, now = Bucket(2, 3, 0.0), 0.0
    for wait in waits:
        now += wait
        if not bucket.take(now):
            now += bucket.wait_s() + 1e-6
            assert bucket.take(now)


def test_the_model_of_pages(tmp_path: Path) -> None:
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"the model")
    asker = Asker(Limits(), path, "the right one")
    assert asker.get(MODEL).status_code == 401
    answer = asker.get(MODEL, token="the right one")
    assert answer.status_code == 200 and answer.content == b"the model"
    assert answer.headers["content-type"] == "application/octet-stream"
    path.unlink()
    assert asker.get(MODEL, token="the right one").status_code == 404
    answer = Asker(Limits()).get(MODEL)
    assert answer.status_code == 404 and "--face-landmarker" in answer.json()["error"]["message"]


def test_a_model_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--face-landmarker .*no such file"):
        build(Order(landmarker=tmp_path / "none.task"))


def sent(given: Limits, pieces: list[bytes], pause_s: float = 0.0, **headers: str) -> httpx.Response:
    """What ``POST /v1/sessions`` answers to a body that comes in pieces."""
    app = create_app(Live(PoolAtHand(), Guard("127.0.0.1"), given), [], Path("nowhere"))  # type: ignore[arg-type]

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(pause_s)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post(
                "/v1/sessions", content=body(), headers={"content-type": "application/json"} | headers
            )

    return asyncio.run(ask())


def test_a_body_is_bounded_whether_or_not_it_tells_its_length() -> None:
    small = Limits(body_bytes=2048)
    for told in ({}, {"content-length": "4096"}):
        answer = sent(small, [HELLO.encode(), b" " * 2048, b" " * 2048], **told)
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "large"
        assert answer.json()["error"]["message"] == "at most 2 KB are taken"
    assert sent(small, [HELLO.encode()]).status_code == 201


def test_a_body_that_drips_is_refused_in_time() -> None:
    answer = sent(Limits(body_s=0.2), [HELLO.encode(), *[b" "] * 100], 0.05)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "timeout"
    assert "not complete after 0.2 s" in answer.json()["error"]["message"]


def test_who_hangs_up_in_the_middle_of_a_body_leaves_no_traceback() -> None:
    app = create_app(Live(PoolAtHand(), Guard("127.0.0.1"), Limits()), [], Path("nowhere"))  # type: ignore[arg-type]

    @app.post("/v1/jobs/any")
    async def any_(request: Request) -> int:
        return len([piece async for piece in request.stream()])

    told: list[Any] = []
    scope = {
        "type": "http", "method": "POST", "path": "/v1/jobs/any", "raw_path": b"/v1/jobs/any", "query_string": b"",
        "root_path": "", "scheme": "http", "http_version": "1.1", "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 5), "server": ("localhost", 80), "asgi": {"version": "3.0"},
    }  # fmt: skip
    messages = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        told.append(message)

    asyncio.run(app(scope, receive, send))
    assert told == []


def test_each_kind_of_body_has_its_own_bounds() -> None:
    limits = Limits()
    assert bounds_of("/v1/sessions", limits).size == bounds_of("/v1/rtc", limits).size == limits.body_bytes
    assert bounds_of("/v1/rtc/7f/speech", limits).size == bounds_of("/v1/sessions/7f/sound", limits).size
    assert bounds_of("/v1/jobs/dub", limits).size == limits.upload_bytes > bounds_of("/v1/rtc/7f/speech", limits).size


def test_http_is_described_offline() -> None:
    answer = Asker(Limits()).get("/docs")
    assert answer.status_code == 200 and "content-security-policy" in answer.headers
    assert "<code>POST /v1/sessions/{name}/say</code>" in answer.text and "<code>text</code>" in answer.text
    assert "://" not in answer.text and "<script" not in answer.text
