"""Puts a server together from what the operator asked for, and runs it."""

from __future__ import annotations

import importlib.util
import logging
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import uvicorn
from fastapi import APIRouter, FastAPI

from kouxing import config
from kouxing.errors import KouxingError, OptionError
from kouxing.media import credentials
from kouxing.server.app import create_app
from kouxing.server.hello import METHODS
from kouxing.server.limits import Limits
from kouxing.server.live import Live
from kouxing.server.mocap import open_captures
from kouxing.server.mocap_frames import NO_BODY
from kouxing.server.mocap_out import MotionOut, check_no_loop
from kouxing.server.pool import Pool
from kouxing.server.routes import model_router
from kouxing.server.security import Guard, is_loopback
from kouxing.server.sockets import ImpatientProtocol, ImpatientSocket
from kouxing.server.stage import Stage
from kouxing.server.text import Speaking, speaking

LOG = logging.getLogger("kouxing.server")
PORT = 8765
BACKLOG = 128
SEND_DELAY_S = {"mouth": 0.18, "expression": 0.35}
"""Motion goes out so long after its sound's time: the model's look-ahead, and some to spare."""
GOODBYE_S = 3
"""Terminals have so long to take their goodbye when the server stops."""


@dataclass(frozen=True)
class Order:
    """What to serve.

    Attributes:
        host, port: to bind to; port 0: any that is free.
        token: that clients must show; needed beyond loopback.
        origins: web pages of other sites that may use the server.
        method: of sessions that ask for none.
        workers: processes; by default as many as cores.
        ray: where they run, see ``server.ray_pool``; None: on this machine, without Ray.
        tts: command or address of a text to speech; None: espeak-ng where it is installed.
        captures: motion capture sources, see ``server.mocap``.
        sends: receivers of motion, ``vmc://host:port`` or ``livelink://host:port``.
        footage, avatar, idle, preset, person, ices: of rendered streams, see ``server.rtc_hub``.
        jobs: whether file jobs are taken.
        landmarker: MediaPipe's ``face_landmarker.task``, given to pages for their webcams; None: none.
        limits: how much.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    origins: Sequence[str] = ()
    method: str = "mouth"
    workers: int = 0
    ray: str | None = None
    tts: str | None = None
    captures: Sequence[str] = ()
    sends: Sequence[str] = ()
    footage: Path | None = None
    avatar: Path | None = None
    idle: str = "closed"
    preset: str = "fast"
    person: Path | None = None
    ices: Sequence[str] = ()
    jobs: bool = True
    landmarker: Path | None = None
    limits: Limits = field(default_factory=Limits)


def build(order: Order) -> FastAPI:
    """The application.

    Raises:
        KouxingError: an option cannot be.
    """
    if order.method not in METHODS:
        raise OptionError(f"--method {order.method}: choose one of {', '.join(METHODS)}")
    if order.landmarker is not None and not order.landmarker.is_file():
        raise OptionError(
            f"--face-landmarker {order.landmarker}: no such file; give MediaPipe's face_landmarker.task or leave it out"
        )
    _check_rendering(order)
    # Before jobs are taken whose outputs cannot be signed.
    credentials.check()
    guard = Guard(order.host, order.token, order.origins)
    # A model that is loaded when somebody first asks for it would hold up all others of its worker.
    pool = _pool(order.workers or max(2, config.cores()), order.ray)
    captures = open_captures(order.captures) if order.captures else None
    live = Live(pool, guard, order.limits, order.method, _speaking(order.tts), captures)
    if order.sends:
        check_no_loop(order.captures, order.sends)
        body = captures.body if captures is not None else lambda: NO_BODY
        out = MotionOut(order.sends, body, SEND_DELAY_S[order.method])
        stage = Stage(live, out)
        live.also(stage, stage.run)
    return create_app(live, _routers(live, order))


def _check_rendering(order: Order) -> None:
    """Options of footage, without any."""
    plain = Order()
    for name in ("person", "preset", "idle"):
        if order.footage is None and getattr(order, name) != getattr(plain, name):
            raise OptionError(f"--{name} {getattr(order, name)}: goes with --footage; give that too, or leave it out")


def _pool(count: int, ray: str | None) -> Pool:
    if ray is None:
        return Pool(count, METHODS)
    from kouxing.server.ray_pool import RayPool

    return RayPool(count, METHODS, ray)


def _speaking(tts: str | None) -> Speaking | None:
    if tts is None and importlib.util.find_spec("espeakng_loader") is None:
        return None
    return speaking(tts)


def _routers(live: Live, order: Order) -> list[APIRouter]:
    """File jobs, and rendered streams where aiortc is installed."""
    made = [model_router(order.landmarker)]
    if order.jobs:
        from kouxing.server.job_routes import job_router
        from kouxing.server.jobs import Jobs

        jobs = Jobs(order.limits)
        live.also(jobs)
        made.append(job_router(jobs))
    if importlib.util.find_spec("aiortc") is not None:
        from kouxing.server.rtc import Ice, RenderHub, RenderSettings, read_ice, rtc_router

        settings = RenderSettings(
            footage=order.footage, avatar=order.avatar, method=order.method, idle=order.idle, preset=order.preset,
            person=order.person, ice=Ice(tuple(read_ice(one) for one in order.ices), is_loopback(order.host)),
        )  # fmt: skip
        hub = RenderHub(settings, live.find, live.speak)
        if order.footage is not None or order.avatar is not None:
            hub.prepare()
        live.also(hub)
        made.append(rtc_router(hub))
    elif order.footage is not None or order.avatar is not None:
        raise OptionError(
            "--footage and --avatar render in the server, which needs aiortc: pip install 'kouxing[live]'"
        )
    return made


def bind(host: str, port: int) -> socket.socket:
    """The listening socket.

    Raises:
        OptionError: the address is taken or none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's waiting off only for sockets that say they are TCP: 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            # There SO_REUSEADDR would let two programs listen at one port.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        # Who connects before the workers are ready waits instead of being refused.
        made.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise OptionError(
            f"--host {host} --port {port}: cannot listen there ({reason}); choose another port"
        ) from error
    return made


def url_of(bound: socket.socket, token: str | None) -> str:
    """Where a browser finds the page; a token travels behind ``#``, which browsers do not send."""
    host, port = bound.getsockname()[:2]
    # To browsers localhost is as safe as HTTPS, so that they give a microphone; other names are not.
    shown = "localhost" if host in ("127.0.0.1", "::1", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"#token={quote(token, safe='')}" if token else "")


class Server(uvicorn.Server):
    """Uvicorn that lets everybody know before it hangs up.

    Args:
        live: what runs; ended while its terminals' and watchers' connections still stand.
        config: uvicorn's.
    """

    def __init__(self, live: Live, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nobody else in, say goodbye, then stop as uvicorn does."""
        for listening in self.servers:
            listening.close()
        await self._live.close()
        await super().shutdown(sockets)


def server_of(app: FastAPI, log_level: str = "warning") -> Server:
    """Uvicorn with our bounds."""
    limits: Limits = app.state.live.limits
    return Server(
        app.state.live,
        uvicorn.Config(
            app,
            http=ImpatientProtocol,
            ws=ImpatientSocket,
            ws_max_size=limits.message_bytes,
            ws_max_queue=64,
            ws_ping_interval=limits.ping_s,
            ws_ping_timeout=limits.pong_s,
            ws_per_message_deflate=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=GOODBYE_S,
            backlog=BACKLOG,
            limit_concurrency=limits.connections * 2,
            log_level=log_level,
            access_log=False,
            server_header=False,
            lifespan="on",
        ),
    )


def serve(order: Order, browser: bool = True) -> None:
    """Run until Ctrl-C or SIGTERM.

    Raises:
        KouxingError: an option cannot be, or no worker comes up.
    """
    logging.basicConfig(level=logging.WARNING, format="kouxing: %(message)s")
    app = build(order)
    bound = bind(order.host, order.port)
    url = url_of(bound, order.token)
    server = server_of(app)

    def say() -> None:
        print(f"kouxing: {url}", flush=True)
        if browser:
            # A browser's start may take seconds; nobody waits for it here.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

    def stop() -> None:
        server.should_exit = True

    app.state.live.when_ready, app.state.live.when_lost = say, stop
    try:
        server.run(sockets=[bound])
    finally:
        bound.close()
    fault: KouxingError | None = app.state.live.fault
    if fault is not None:
        raise fault
