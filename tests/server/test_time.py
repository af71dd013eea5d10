"""Time goes on for all sessions, whatever one of them or a part of the server does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("fastapi")

from kouxing.server.hello import Hello
from kouxing.server.limits import Limits
from kouxing.server.live import Live
from kouxing.server.outlet import Outlet
from kouxing.server.security import Guard
from kouxing.units import COEFFICIENT_HZ
from server.live_world import PoolAtHand, voice


class Stuck(PoolAtHand):
    """A pool whose streams cannot be closed."""

    def open(self, *order: Any) -> Any:
        made = super().open(*order)
        made.close = _broken  # type: ignore[method-assign]
        return made


class Captures:
    """Motion capture that cannot tell the body."""

    faces = ()

    def __init__(self) -> None:
        self.asked = 0

    def body(self) -> Any:
        self.asked += 1
        raise RuntimeError("no body")

    def close(self) -> None:
        """Nothing is held."""


def _broken(*_: Any) -> Any:
    raise RuntimeError("boom")


async def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.01)


def test_a_session_that_fails_and_cannot_be_closed_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        live = Live(Stuck(), Guard("127.0.0.1"), Limits())  # type: ignore[arg-type]
        await live.start()
        ill, well = live.create(Hello()), live.create(Hello())
        heard: Outlet = ill.out()
        live.link(ill, Hello())
        ill.push_sound(voice(0.5))
        ill.mixer = _broken
        await until(lambda: ill.name not in [one.name for one in live.sessions])
        # Who listens to it is told that it is over, and nothing of it is kept.
        assert ill.closed and heard.closed and not live._links
        rows = well.counts.rows
        await until(lambda: well.counts.rows > rows + COEFFICIENT_HZ // 4)
        well.push_sound(voice(0.5))
        # The server's own end is not held up either.
        await live.close()
        assert well.closed and not live.sessions

    asyncio.run(run())
    told = [one.message for one in caplog.records]
    assert told.count("session failed; it ends") == 1
    assert told.count("a session's end failed; it is over all the same") == 2


def test_parts_that_fail_again_and_again_stop_nobody_and_are_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        captures = Captures()
        live = Live(PoolAtHand(), Guard("127.0.0.1"), Limits(), captures=captures)  # type: ignore[arg-type]
        monkeypatch.setattr(live, "_expire", _broken)
        await live.start()
        session = live.create(Hello())
        await until(lambda: len(caplog.records) == 2)
        asked, rows = captures.asked, session.counts.rows
        await until(lambda: captures.asked > asked + 5 and session.counts.rows > rows + 10)
        await live.close()

    asyncio.run(run())
    assert [one.message for one in caplog.records] == [
        "telling captured bones failed; time goes on",
        "ending what nobody holds failed; time goes on",
    ]
