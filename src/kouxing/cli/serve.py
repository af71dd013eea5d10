"""``kouxing serve``: the live system."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.dub import Preset
from kouxing.config import one_thread_a_library
from kouxing.errors import OptionError


class Method(str, Enum):
    """Which model."""

    mouth = "mouth"
    expression = "expression"


class Idle(str, Enum):
    """Mouth of footage while nobody speaks."""

    closed = "closed"
    filmed = "filmed"


def command(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen at; others than loopback need --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0: any that is free.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            envvar="KOUXING_TOKEN",
            help="What clients must show; KOUXING_TOKEN keeps it off the command line.",
        ),
    ] = None,
    method: Annotated[
        Method,
        typer.Option(
            metavar="mouth|expression", help="The least delay, or the whole face with emotions; clients may choose too."
        ),
    ] = Method.mouth,
    footage: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Video or photo of a person to speak, rendered here, sent as video (WebRTC)."
        ),
    ] = None,
    avatar: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="GLB or photo for rendered streams; pages draw their own avatars."),
    ] = None,
    tts: Annotated[
        str | None, typer.Option(metavar="COMMAND|URL", help="Text to speech that returns a WAV; espeak-ng by default.")
    ] = None,
    capture: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL|FILE", help="livelink://, vmc://, ifacialmocap://PHONE, or a take (.csv); several times."
        ),
    ] = None,
    send: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Motion out: vmc://host:39539 or livelink://host:11111; several times."),
    ] = None,
    idle: Annotated[
        Idle, typer.Option(metavar="closed|filmed", help="With --footage: the mouth while nobody speaks.")
    ] = Idle.closed,
    preset: Annotated[
        Preset, typer.Option(metavar="fast|fine", help="With --footage: which network paints.")
    ] = Preset.fast,
    person: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --footage: what `kouxing fit` made of this person (.kx).")
    ] = None,
    ice: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD for rendered streams."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Another site whose pages may use the server, e.g. https://example.org; several times.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, metavar="N", help="Processes that run the networks; 0: one for each core, at least 2.")
    ] = 0,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="local|auto|HOST:PORT",
            help="Put the workers on Ray Serve: a Ray of its own, the one of this machine, or a cluster's.",
        ),
    ] = None,
    sessions: Annotated[int, typer.Option(min=1, max=4096, metavar="N", help="Sessions at the same time.")] = 64,
    http_rate: Annotated[
        int, typer.Option(min=0, metavar="N", help="HTTP requests a second from one address; 0: any number.")
    ] = 50,
    face_landmarker: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="KOUXING_LANDMARKER",
            help="MediaPipe's face_landmarker.task, given to pages for their webcams.",
        ),
    ] = None,
    no_jobs: Annotated[bool, typer.Option("--no-jobs", help="Take no file jobs (dub, score, animate).")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page.")] = False,
) -> None:
    """Start the live server: speech or text in, a moving face out, for browsers and programs (docs/protocol.md)."""
    one_thread_a_library()
    try:
        from kouxing.server.limits import Limits
        from kouxing.server.serve import Order, serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kouxing"):
            raise
        raise OptionError(f"the live server needs {error.name}; run: pip install 'kouxing[live]'") from error
    order = Order(
        host=host,
        port=port,
        token=token,
        origins=allow_origin or (),
        method=method.value,
        workers=workers,
        ray=ray,
        tts=tts,
        captures=capture or (),
        sends=send or (),
        footage=footage,
        avatar=avatar,
        idle=idle.value,
        preset=preset.value,
        person=person,
        ices=ice or (),
        jobs=not no_jobs,
        landmarker=face_landmarker,
        limits=Limits(sessions=sessions, http_hz=http_rate, http_burst=max(1, 4 * http_rate)),
    )
    serve(order, browser=not no_browser)
