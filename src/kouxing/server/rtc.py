"""Rendered streams by HTTP: a viewer's WebRTC offer, speech for its stream, hanging up.

hub = RenderHub(RenderSettings(footage=Path("talk.mp4")))
hub.prepare()
app.include_router(rtc_router(hub))
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from kouxing.errors import KouxingError, MediaError
from kouxing.server.rtc_hub import BusyError, MissingError, RenderHub, RenderSettings, Source
from kouxing.server.rtc_peer import Ice, read_ice

PAGE = Path(__file__).with_name("rendered")
SDP_BYTES = 65_536


class Offer(BaseModel):
    """A viewer's offer."""

    sdp: Annotated[str, Field(max_length=SDP_BYTES)]
    type: Literal["offer"] = "offer"
    source: Source | None = None
    stream: Annotated[str, Field(max_length=64)] | None = None
    session: Annotated[str, Field(max_length=64)] | None = None
    codec: Literal["h264", "vp8"] | None = None


class Answer(BaseModel):
    """What goes back to it."""

    sdp: str
    type: Literal["answer"] = "answer"
    id: str
    stream: str
    width: int
    height: int
    delay_ms: int


class Spoken(BaseModel):
    """Seconds of speech that were taken."""

    seconds: float


STATUS: dict[type[KouxingError], int] = {BusyError: 503, MissingError: 404}
"""HTTP status of an error; 422 for others."""


def rtc_router(hub: RenderHub) -> APIRouter:
    """``/v1/rtc``: offers, speech for a viewer's stream, and hanging up; ``/rendered``: a page that does so.

    The caller adds its own checks.
    """
    router = APIRouter(tags=["rendered streams"])

    @router.post("/v1/rtc", summary="Answer a viewer's WebRTC offer")
    async def offered(offer: Offer) -> Answer:
        with _refusing():
            sdp, viewer, stream = await hub.answer(offer.sdp, offer.source, offer.stream, offer.session, offer.codec)
            shown = hub.stream_of(viewer)
        return Answer(
            sdp=sdp, id=viewer, stream=stream, width=shown.width, height=shown.height,
            delay_ms=round(1000 * shown.delay_s),
        )  # fmt: skip

    @router.get("/v1/rtc", summary="The streams and what became of their pictures")
    async def streams() -> list[dict[str, Any]]:
        return [{key: value for key, value in row.items() if key != "stream"} for row in hub.told()]

    @router.get("/v1/rtc/sources", summary="What can be shown, the default first")
    async def sources() -> list[Source]:
        return hub.sources()

    @router.delete("/v1/rtc/{viewer}", status_code=204, summary="Hang up")
    async def hung_up(viewer: str) -> None:
        with _refusing():
            await hub.hang_up(viewer)

    @router.post("/v1/rtc/{viewer}/interrupt", status_code=204, summary="Stop speaking")
    async def interrupted(viewer: str) -> None:
        with _refusing():
            hub.interrupt(viewer)

    @router.post("/v1/rtc/{viewer}/speech", summary="Say what a sound file says (the body is the file)")
    async def speech(viewer: str, request: Request) -> Spoken:
        with _refusing():
            hub.stream_of(viewer)
            # A folder: on Windows nobody else may open a file that is still open here.
            with tempfile.TemporaryDirectory(prefix="kouxing-speech-") as folder:
                path = Path(folder) / "speech"
                with path.open("wb") as file:
                    async for part in request.stream():
                        file.write(part)
                try:
                    return Spoken(seconds=await hub.play(viewer, path))
                except MediaError as error:
                    # The temporary file's name is nobody's business.
                    raise HTTPException(415, "speech: cannot be read as sound; send WAV, FLAC, MP3 …") from error

    @router.get("/rendered", include_in_schema=False)
    @router.get("/rendered/{name}", include_in_schema=False)
    async def page(name: Literal["index.html", "page.css", "page.js", "step.js"] = "index.html") -> FileResponse:
        return FileResponse(PAGE / name)

    return router


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn a user's mistakes into HTTP errors of one line."""
    try:
        yield
    except KouxingError as error:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 422)
        raise HTTPException(status, str(error)) from error


__all__ = ["Ice", "RenderHub", "RenderSettings", "read_ice", "rtc_router"]
