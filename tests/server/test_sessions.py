"""Who holds a session, who counts, and what HTTP says of it; no worker runs here."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("fastapi")

import httpx
from fastapi import APIRouter

from kouxing.server.app import create_app
from kouxing.server.hello import Hello
from kouxing.server.limits import Limits
from kouxing.server.live import Live
from kouxing.server.protocol import Refused
from kouxing.server.security import Guard
from kouxing.server.serve import bind, url_of
from server.live_world import PoolAtHand


def server(host: str = "127.0.0.1", **limits: Any) -> Live:
    return Live(PoolAtHand(), Guard(host), Limits(**limits))  # type: ignore[arg-type]


def ask(live: Live, method: str, path: str, host: str = "localhost", **what: Any) -> httpx.Response:
    broken = APIRouter()

    @broken.get("/v1/broken")
    async def fails() -> None:
        raise RuntimeError("secret")

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(live, [broken], Path("nowhere")), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, **what)

    return asyncio.run(asked())


def test_a_session_that_is_watched_waits_for_its_watcher_to_come_back() -> None:
    async def story() -> None:
        live = server(wait_s=60)
        session = live.create(Hello())
        link = live.link(session, Hello())
        long_ago = time.monotonic() - 600
        link.left_s = long_ago
        watched = session.out(("coefficients",), keeps=True)
        live._expire()
        watched.close()
        live._expire()
        assert live.find(session.name) is session and link.left_s > long_ago
        link.left_s -= 61
        live._expire()
        assert live.find(session.name) is None

    asyncio.run(story())


def test_the_servers_own_session_takes_nobodys_place() -> None:
    async def story() -> None:
        live = server(sessions=1)
        own = live.create(Hello(), lasting=True)
        first = live.create(Hello())
        assert live.sessions == [first] and live.counts.sessions == 1
        with pytest.raises(Refused, match="there are 1 sessions"):
            live.create(Hello())
        live._expire()
        assert live.find(own.name) is own

    asyncio.run(story())


def test_sound_that_was_not_taken_is_not_answered_as_if_it_were() -> None:
    live = server(queue_s=2)
    path = f"/v1/sessions/{ask(live, 'POST', '/v1/sessions', json={}).json()['session']}/sound"
    assert ask(live, "POST", path, content=bytes(2 * 32000 + 2)).status_code == 413
    answer = ask(live, "POST", path, content=bytes(2 * 32000))
    assert answer.status_code == 202 and answer.json()["seconds"] == 2
    # Nobody makes rows of it here: all of it waits.
    for _ in range(9):
        answer = ask(live, "POST", path, content=bytes(2 * 32000))
        assert (answer.status_code == 202) is bool(answer.json().get("seconds"))
    assert answer.status_code == 429 and answer.json()["error"]["code"] == "busy"


def test_another_version_is_refused_over_http_too() -> None:
    answer = ask(server(), "POST", "/v1/sessions", json={"kouxing": 7})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "version"


def test_a_fault_is_told_in_the_form_of_all_errors() -> None:
    answer = ask(server(), "GET", "/v1/broken")
    assert answer.status_code == 500 and answer.json()["error"]["code"] == "fault" and "secret" not in answer.text


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "localhost"), ("127.0.0.1", "localhost"), ("127.0.0.2",) * 2])
def test_the_address_that_is_printed_opens_the_page_whatever_the_token(host: str, shown: str) -> None:
    with bind(host, 0) as bound:
        parts = urlsplit(url_of(bound, "q7+/Zk0=&x%41"))
    # As a page reads it.
    assert parts.hostname == shown and parse_qs(parts.fragment) == {"token": ["q7+/Zk0=&x%41"]}


@pytest.mark.parametrize(("host", "status"), [("127.0.0.2", 200), ("localhost", 200), ("127.0.0.3", 403)])
def test_a_server_answers_to_the_address_that_it_binds_to(host: str, status: int) -> None:
    assert ask(server("127.0.0.2"), "GET", "/v1/sessions", host).status_code == status
