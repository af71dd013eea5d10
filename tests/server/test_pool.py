"""Worker processes that cannot be started."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("fastapi")

from kouxing.errors import OptionError
from kouxing.server import pool as module
from kouxing.server.pool import Pool


def test_workers_that_cannot_be_started_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.01)

    async def run() -> None:
        pool = Pool(2, command=["/no/such/program"])
        with pytest.raises(OptionError, match="cannot be started"):
            await asyncio.wait_for(pool.start(), 10)

    asyncio.run(run())
