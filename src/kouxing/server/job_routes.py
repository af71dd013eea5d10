"""HTTP of the file jobs: uploads in, progress and results out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from kouxing.server.hello import reason
from kouxing.server.jobs import FILES, Job, Jobs
from kouxing.server.protocol import Refused
from kouxing.server.routes import REFUSALS

ENDINGS = {
    "mp4", "mov", "m4v", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "wav", "mp3", "m4a", "aac", "ogg", "opus", "flac",
    "png", "jpg", "jpeg", "webp", "bmp",
}  # fmt: skip
"""Endings that a stored file may have; others are left out. Names are never taken."""
PIECE = 1 << 20
MOST_FIELDS = 16

Name = Annotated[str, Path(min_length=1, max_length=64, pattern="^[0-9a-f]+$")]
ResultName = Annotated[str, Path(pattern="^[a-z]+[.][a-z0-9]+$", max_length=32)]
Emotion = Literal["", "neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DubOptions(_Options):
    """Beside the files ``face`` and ``speech``."""

    mouth: Annotated[float, Field(ge=0, le=3)] = 1.0
    length: Literal["video", "speech", "loop"] = "video"
    preset: Literal["fast", "fine"] = "fast"
    face_index: Annotated[int, Field(ge=0, le=63)] = 0


class ScoreOptions(_Options):
    """Beside the file ``video``: none."""


class AnimateOptions(_Options):
    """Beside the file ``speech``."""

    format: Literal["csv", "json", "glb", "mp4"] = "csv"
    method: Literal["expression", "mouth"] = "expression"
    emotion: Emotion = ""


OPTIONS: dict[str, type[_Options]] = {"dub": DubOptions, "score": ScoreOptions, "animate": AnimateOptions}


class JobState(BaseModel):
    """What a job is doing."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    stage: str | None
    done: int
    total: int | None
    error: str | None
    results: list[str]
    warnings: list[str]


def job_router(jobs: Jobs) -> APIRouter:
    """``/v1/jobs``."""
    router = APIRouter(prefix="/v1/jobs", tags=["file jobs"], responses=REFUSALS)
    for kind in FILES:
        _add_start(router, jobs, kind)

    @router.get("", summary="All jobs")
    async def all_of_them() -> list[JobState]:
        # Ids are keys: a list shows their beginning only.
        return [JobState(**{**job.told(), "id": job.name[:8]}) for job in jobs.all()]

    @router.get("/{name}", summary="Progress")
    async def one(name: Name) -> JobState:
        return JobState(**jobs.get(name).told())

    @router.get("/{name}/events", summary="Progress as server-sent events", response_class=StreamingResponse,
                responses={200: {"content": {"text/event-stream": {}}}})  # fmt: skip
    async def events(name: Name) -> StreamingResponse:
        job = jobs.get(name)

        async def lines() -> AsyncIterator[str]:
            async for told in jobs.watch(job):
                yield f"data: {json.dumps(told, ensure_ascii=False)}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    @router.get("/{name}/results/{result}", summary="A result", response_class=FileResponse)
    async def result(name: Name, result: ResultName) -> FileResponse:
        job = jobs.get(name)
        if result not in job.results:
            raise Refused("job", "the job has no such result, or not yet")
        if not (job.folder / result).is_file():
            raise Refused("job", "the result is gone from this machine's temporary files; send the job again")
        return FileResponse(job.folder / result, filename=result, content_disposition_type="attachment")

    @router.delete("/{name}", status_code=204, summary="Cancel and remove")
    async def remove(name: Name) -> None:
        await jobs.remove(jobs.get(name))

    return router


def _add_start(router: APIRouter, jobs: Jobs, kind: str) -> None:
    schema = OPTIONS[kind].model_json_schema()
    files = {name: {"type": "string", "format": "binary"} for name in FILES[kind]}
    form = {"type": "object", "required": list(FILES[kind]), "properties": {**files, **schema.get("properties", {})}}
    body = {"required": True, "content": {"multipart/form-data": {"schema": form}}}

    @router.post(f"/{kind}", status_code=202, summary=f"Start a job: {kind}", operation_id=f"start_{kind}",
                 openapi_extra={"requestBody": body})  # fmt: skip
    async def start(request: Request) -> JobState:
        job = jobs.make(kind)
        try:
            await _receive(request, job)
        except BaseException:
            await jobs.remove(job)
            raise
        jobs.start(job)
        return JobState(**job.told())


async def _receive(request: Request, job: Job) -> None:
    """Store the files under names of our own, and check the options.

    Raises:
        Refused: too large or too slow (``server.body``), no form, other files than are needed, or options that may
            not be.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refused("malformed", "send the files as multipart/form-data")
    try:
        form = await MultiPartParser(request.headers, request.stream(), max_files=4, max_fields=MOST_FIELDS).parse()
    except (MultiPartException, FormParserError, KeyError, ValueError):
        raise Refused("malformed", "the form cannot be read") from None
    try:
        given: dict[str, Any] = {}
        files: dict[str, UploadFile] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = value
            else:
                given[name] = value
        if set(files) != set(FILES[job.kind]):
            raise Refused("malformed", f"{job.kind} needs the files {' and '.join(FILES[job.kind])}")
        try:
            options = OPTIONS[job.kind].model_validate(given).model_dump()
        except ValidationError as error:
            raise Refused("refused", f"{job.kind}: {reason(error)}") from None
        if options.get("emotion") == "":
            options["emotion"] = ()
        job.options = options
        for name, upload in files.items():
            job.files[name] = f"{name}{_ending(upload.filename)}"
            await asyncio.to_thread(_store, upload, job.folder / job.files[name])
    finally:
        await form.close()


def _ending(name: str | None) -> str:
    """The only thing of a client's name that is kept, and only where it is a known one."""
    ending = (name or "").rpartition(".")[2].lower()
    return f".{ending}" if ending in ENDINGS else ""


def _store(upload: UploadFile, place: FilePath) -> None:
    with place.open("xb") as file:
        while piece := upload.file.read(PIECE):
            file.write(piece)
