"""Motion out follows the face that was begun last."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi")

from kouxing.server.hello import Hello
from kouxing.server.live import Live
from kouxing.server.security import Guard
from kouxing.server.stage import Stage
from kouxing.types import Float


class Receivers:
    """Counts what they get."""

    def __init__(self) -> None:
        self.rows = 0

    def feed(self, rows: Float, *_: object) -> None:
        self.rows += len(rows)

    def interrupt(self) -> None:
        pass


@pytest.mark.parametrize("idle", [True, False])
def test_a_newer_face_is_sent_even_when_the_older_one_rests_in_silence(idle: bool) -> None:
    async def story() -> int:
        live, out = Live(SimpleNamespace(look_ahead_ms={}), Guard("127.0.0.1")), Receivers()  # type: ignore[arg-type]
        stage = Stage(live, out)  # type: ignore[arg-type]

        async def ticks(count: int) -> None:
            for _ in range(count):
                for session in live.sessions:
                    session.tick()
                await asyncio.sleep(1 / 60)

        live.create(Hello(idle=idle))
        task = asyncio.create_task(stage.run())
        await ticks(12)
        live.create(Hello(idle=True))
        await ticks(15)
        before = out.rows
        await ticks(30)
        task.cancel()
        return out.rows - before

    assert asyncio.run(story()) > 15


@pytest.mark.parametrize("turns", range(6))
def test_it_ends_when_it_is_told_to_together_with_a_row(turns: int) -> None:
    async def story() -> bool:
        live = Live(SimpleNamespace(look_ahead_ms={}), Guard("127.0.0.1"))  # type: ignore[arg-type]
        stage = Stage(live, Receivers())  # type: ignore[arg-type]
        session = live.create(Hello(idle=True))
        task = asyncio.create_task(stage.run())
        await asyncio.sleep(0.05)
        session.tick()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=1)
        return task.cancelled()

    assert asyncio.run(story())
