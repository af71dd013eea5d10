"""Writes ``docs/openapi.json``: ``PYTHONPATH=src:tests python tests/server/make_openapi.py``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from kouxing.server.app import create_app
from kouxing.server.job_routes import job_router
from kouxing.server.jobs import COMMAND, Jobs
from kouxing.server.limits import Limits
from kouxing.server.live import Live
from kouxing.server.routes import model_router
from kouxing.server.rtc import RenderHub, RenderSettings, rtc_router
from kouxing.server.security import Guard
from server.live_world import PoolAtHand, speak

PLACE = Path(__file__).parents[2] / "docs" / "openapi.json"


class Voice:
    """Text to speech of these tests."""

    speak = staticmethod(speak)

    async def warm(self) -> None: ...

    async def close(self) -> None: ...


def whole(limits: Limits = Limits(), model: Path | None = None, command: Sequence[str] = COMMAND) -> FastAPI:
    """A server with everything but worker processes; ``command`` does its file jobs."""
    live = Live(PoolAtHand(), Guard("127.0.0.1"), limits, speaking=Voice())  # type: ignore[arg-type]
    jobs, hub = Jobs(limits, command), RenderHub(RenderSettings(), live.find, live.speak)
    live.also(jobs)
    live.also(hub)
    return create_app(live, [job_router(jobs), model_router(model), rtc_router(hub)], Path("nowhere"))


def answers(told: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Path -> method -> statuses."""
    return {
        path: {method: sorted(one["responses"]) for method, one in methods.items()}
        for path, methods in told["paths"].items()
    }


if __name__ == "__main__":
    PLACE.write_text(json.dumps(whole().openapi(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
