"""HTTP beside the WebSocket: sessions, health, metrics."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from kouxing import __version__
from kouxing.server.hello import Hello, Say, check_version
from kouxing.server.live import Live
from kouxing.server.metrics import exposition
from kouxing.server.protocol import MOST_SAMPLES, Refused
from kouxing.server.session import Session
from kouxing.server.terminal import answer
from kouxing.units import SAMPLE_HZ

Name = Annotated[str, Path(min_length=1, max_length=64, pattern="^[0-9a-f]+$")]


class Fault(BaseModel):
    """Why a request was refused."""

    code: str
    message: str


class Refusal(BaseModel):
    """What every refused request is answered with."""

    error: Fault


class SessionState(BaseModel):
    """What a session is doing."""

    session: str = Field(description="The first 8 of its id's characters; the whole id is its owner's secret.")
    method: str
    time_s: float
    speaks: bool
    queued_s: float
    listeners: int
    heard_s: float
    rows: int
    dropped_s: float
    interrupts: int


class Taken(BaseModel):
    """How much sound was taken."""

    seconds: float
    queued_s: float


class Health(BaseModel):
    """Whether the server can work."""

    status: str
    version: str
    workers: int
    sessions: int


REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": Refusal, "description": words}
    for code, words in {
        400: "The body is not what is documented.",
        401: "The token is missing or wrong.",
        403: "A page of another site.",
        404: "There is no such session.",
        413: "Too long.",
        422: "A value that may not be.",
        429: "There are too many already.",
    }.items()
}


def state_of(session: Session) -> SessionState:
    """A session in numbers."""
    return SessionState(
        session=session.name[:8],
        method=session.wish.method,
        time_s=session.time / SAMPLE_HZ,
        speaks=session.speaks,
        queued_s=session.queued_s,
        listeners=session.listeners,
        heard_s=session.counts.heard / SAMPLE_HZ,
        rows=session.counts.rows,
        dropped_s=session.counts.dropped / SAMPLE_HZ,
        interrupts=session.counts.interrupts,
    )


def session_router(live: Live) -> APIRouter:
    """``/v1/sessions``."""
    router = APIRouter(prefix="/v1/sessions", tags=["sessions"], responses=REFUSALS)

    @router.post("", status_code=201, summary="Make a session; a terminal enters it with `resume`")
    async def make(hello: Hello) -> dict[str, Any]:
        check_version(hello.kouxing)
        if hello.resume is not None or hello.watch is not None:
            raise Refused("malformed", "a new session neither resumes nor watches another")
        session = live.create(hello)
        return answer(live, live.link(session, hello), False)

    @router.get("", summary="All sessions")
    async def all_of_them() -> list[SessionState]:
        return [state_of(session) for session in live.sessions]

    @router.get("/{name}", summary="One session")
    async def one(name: Name) -> SessionState:
        return state_of(live.session(name))

    @router.delete("/{name}", status_code=204, summary="End a session")
    async def over(name: Name) -> None:
        live.end(live.session(name))

    @router.post("/{name}/say", status_code=202, summary="Speak a text")
    async def say(name: Name, wanted: Say) -> SessionState:
        session = live.session(name)
        session.say(wanted.text, wanted.language, wanted.id)
        return state_of(session)

    @router.post("/{name}/interrupt", summary="Stop speaking")
    async def interrupt(name: Name) -> SessionState:
        session = live.session(name)
        session.interrupt()
        return state_of(session)

    @router.post(
        "/{name}/sound", status_code=202, summary="Speech: raw s16 samples, mono, 16 kHz",
        openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {
            "type": "string", "format": "binary"}}}}},
    )  # fmt: skip
    async def sound(name: Name, request: Request) -> Taken:
        session = live.session(name)
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > 2 * live.limits.queue_s * SAMPLE_HZ:
                raise Refused("large", f"sound of one request: at most {live.limits.queue_s:g} s")
        if not data or len(data) % 2:
            raise Refused("malformed", "sound is made of samples of 2 bytes")
        samples = np.frombuffer(bytes(data), "<i2").astype(np.int16, copy=False)
        before = session.counts.heard
        for at in range(0, len(samples), MOST_SAMPLES):
            session.push_sound(samples[at : at + MOST_SAMPLES])
        taken = session.counts.heard - before
        if not taken:
            raise Refused("busy", "the session speaks a text, or as much sound waits as may; try later")
        session.end()
        return Taken(seconds=taken / SAMPLE_HZ, queued_s=session.queued_s)

    return router


def health_router(live: Live) -> APIRouter:
    """``/v1/health`` and ``/metrics``."""
    router = APIRouter(tags=["operation"], responses={code: REFUSALS[code] for code in (401, 403)})

    @router.get("/v1/health", summary="Can it work?", responses={503: {"model": Health}})
    async def health(response: Response) -> Health:
        ready = live.pool.ready
        response.status_code = 200 if ready else 503
        return Health(
            status="ok" if ready else "no worker is ready",
            version=__version__,
            workers=len(live.pool.pids),
            sessions=len(live.sessions),
        )

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response,
                responses={200: {"content": {"text/plain": {}}}})  # fmt: skip
    async def metrics() -> Response:
        return Response(exposition(live), media_type="text/plain; version=0.0.4")

    return router


def model_router(landmarker: FilePath | None) -> APIRouter:
    """``/v1/models``: what a page needs and we may not ship.

    Args:
        landmarker: MediaPipe's ``face_landmarker.task``, where the operator has it.
    """
    router = APIRouter(prefix="/v1/models", tags=["models"], responses=REFUSALS)

    @router.get("/face_landmarker.task", summary="MediaPipe's model, for a page's webcam", response_class=FileResponse,
                responses={200: {"content": {"application/octet-stream": {}}}})  # fmt: skip
    async def face_landmarker() -> FileResponse:
        if landmarker is None or not landmarker.is_file():
            raise Refused(
                "model", "this server has no face_landmarker.task: give it --face-landmarker, or choose the file here"
            )
        return FileResponse(landmarker, media_type="application/octet-stream")

    return router
