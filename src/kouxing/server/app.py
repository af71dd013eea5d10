"""The ASGI application: WebSocket, HTTP, the page; and who may reach them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kouxing import __version__
from kouxing.errors import KouxingError
from kouxing.server.body import Body, bounds_of
from kouxing.server.described import page as described
from kouxing.server.limits import Addresses
from kouxing.server.live import Live
from kouxing.server.protocol import Refused
from kouxing.server.routes import REFUSALS, health_router, session_router
from kouxing.server.security import PAGE_POLICY
from kouxing.server.terminal import Terminal, error_text, refuse

PAGE = Path(__file__).with_name("web")
"""The browser terminal, built by ``make web``."""
NO_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>kouxing</title>
<h1>kouxing is running</h1>
<p>The browser terminal was not built into this installation: in a checkout, run <code>make web</code>.</p>
<p>Programs connect to <code>/v1/live</code> (docs/protocol.md); HTTP is described at <a href="/docs">/docs</a>.</p>
</html>
"""
STATUS = {
    "token": 401,
    "origin": 403,
    "session": 404,
    "job": 404,
    "model": 404,
    "large": 413,
    "refused": 422,
    "busy": 429,
    "fault": 500,
}
"""Refusal -> HTTP status; 400 for others."""
NAMES = {404: "missing", 405: "method", 413: "large", 422: "malformed", 503: "busy"}


UNCOUNTED = ("/v1/health", "/metrics")
"""What watches the server is not to be shut out by what the server is being watched for."""


class Door:
    """Checks every HTTP request before anything reads it, and bounds its body; pages and their parts need no token.

    Args:
        app: what stands behind. live: whose guard decides.
    """

    def __init__(self, app: ASGIApp, live: Live) -> None:
        self._app, self._live = app, live
        self._addresses = Addresses(live.limits.http_hz, live.limits.http_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] not in UNCOUNTED:
            wait_s = self._addresses.wait_s((scope.get("client") or ("",))[0], time.monotonic())
            if wait_s:
                await self._too_many(wait_s)(scope, receive, send)
                return
        headers = Headers(scope=scope)
        body = Body(receive, bounds_of(scope["path"], self._live.limits))
        try:
            if scope["path"].startswith(("/v1/", "/metrics")) and scope["path"] != "/v1/health":
                self._live.guard.check_request(headers)
            else:
                self._live.guard.check_host(headers)
            body.check(int(headers.get("content-length") or 0))
        except Refused as refused:
            self._live.counts.refused[refused.code] += 1
            await refusal(refused)(scope, receive, send)
            return
        refused_late = False

        async def guarded(message: Message) -> None:
            nonlocal refused_late
            if refused_late:
                return
            if message["type"] == "http.response.start":
                if body.refused is not None:
                    # Whatever was made of it, the client is told what it was.
                    refused_late = True
                    await refusal(body.refused)(scope, receive, send)
                    return
                added = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
                if not scope["path"].startswith(("/v1/", "/metrics")):
                    added.append((b"content-security-policy", PAGE_POLICY.encode()))
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        # Who goes away in the middle of an upload is nobody's fault, and no page of traceback.
        with suppress(ClientDisconnect):
            await self._app(scope, body.receive, guarded)

    def _too_many(self, wait_s: float) -> JSONResponse:
        self._live.counts.refused["busy"] += 1
        message = f"more than {self._live.limits.http_hz:g} requests a second from one address"
        return fault(STATUS["busy"], "busy", message, {"retry-after": str(math.ceil(wait_s))})


def refusal(refused: Refused) -> JSONResponse:
    """A refused request's answer."""
    return fault(STATUS.get(refused.code, 400), refused.code, str(refused))


def fault(status: int, code: str, message: str, headers: Any = None) -> JSONResponse:
    """``{"error": {"code", "message"}}``."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=headers)


def create_app(live: Live, routers: Sequence[APIRouter] = (), page: Path = PAGE) -> FastAPI:
    """The application of one server.

    Args:
        live: its state; started and ended with the application.
        routers: more HTTP, such as file jobs and rendered streams.
        page: folder with the built browser terminal.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        try:
            await live.start()
        except KouxingError as error:
            # An exception from here would be printed as a page of traceback; the operator gets one line.
            live.give_up(error)
        try:
            yield
        finally:
            await live.close()

    app = FastAPI(
        title="kouxing",
        version=__version__,
        summary="Speech or text in, a moving face out. The WebSocket `/v1/live` is described in docs/protocol.md.",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
    )
    app.state.live = live
    app.add_middleware(Door, live=live)
    if live.guard.origins or live.guard.local_origins:
        # Outermost: a browser's preflight carries no token.
        app.add_middleware(
            CORSMiddleware, allow_origins=list(live.guard.origins), allow_origin_regex=live.guard.local_origins,
            allow_methods=["*"], allow_headers=["*"],
        )  # fmt: skip
    _answer_faults(app)
    app.include_router(health_router(live))
    app.include_router(session_router(live))
    for router in routers:
        app.include_router(router, responses=REFUSALS)

    @app.websocket("/v1/live")
    async def terminal(socket: WebSocket) -> None:
        if live.connections >= live.limits.connections:
            await socket.accept()
            busy = Refused("busy", f"{live.limits.connections} connections are open")
            await refuse(socket, busy, error_text(busy))
            return
        live.connections += 1
        try:
            await Terminal(live, socket).serve()
        except asyncio.CancelledError:
            # The server goes away; uvicorn has told the client.
            pass
        finally:
            live.connections -= 1

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(described(app.openapi()))

    if (page / "index.html").is_file():
        app.mount("/", StaticFiles(directory=page, html=True), name="page")
    else:

        @app.get("/", include_in_schema=False)
        async def no_page() -> HTMLResponse:
            return HTMLResponse(NO_PAGE)

    return app


def _answer_faults(app: FastAPI) -> None:
    """One form for all errors."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return fault(422, "malformed", f"{place}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        code = NAMES.get(error.status_code, "refused")
        return fault(error.status_code, code, str(error.detail), error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        # The log gets the traceback all the same.
        return fault(STATUS["fault"], "fault", "a fault of the server; its log tells more")
