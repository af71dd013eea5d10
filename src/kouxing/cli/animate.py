"""``kouxing animate``: speech as a face's animation."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.output import print_report
from kouxing.cli.progress import progress
from kouxing.config import one_thread_a_library


class Method(str, Enum):
    """Which model."""

    expression = "expression"
    mouth = "mouth"


def command(
    speech: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SPEECH]", show_default=False,
            help="Sound file, or a video whose sound is taken. May be left out where --text or --mouth-video tell all.",
        ),
    ] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out", "-o", metavar="FILE",
            help="What to write: .csv (Live Link Face), .json, .glb (avatar, animated) or .mp4; several times.",
        ),
    ] = None,
    method: Annotated[
        Method,
        typer.Option(metavar="expression|mouth", help="The whole face with emotions, or mouth and jaw at less delay."),
    ] = Method.expression,
    emotion: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="happy, happy:0.6 or happy:0.6@2s..5s; several times to mix or change."),
    ] = None,
    style: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Coefficients (.csv, .json) of whom to speak like.")
    ] = None,
    avatar: Annotated[
        Path | None, typer.Option(metavar="FILE", help="GLB with ARKit's morph targets; the bundled head by default.")
    ] = None,
    send: Annotated[
        str | None, typer.Option(metavar="URL", help="Send live: vmc://host:39539 or livelink://host:11111.")
    ] = None,
    explain: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture (.png) of what the model mouth attended to.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text", "--transcript", metavar="TEXT|FILE",
            help="What is said: helps where SPEECH is noisy or has holes. A text, or .txt, .srt, .TextGrid, .align.",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="The text's language, as espeak-ng has it; en by default.")
    ] = None,
    mouth_video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Video of the speaker's face, saying the same: it leads.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that are there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object; no progress.")] = False,
) -> None:  # fmt: skip
    """Write SPEECH as 60 rows a second of ARKit's 52 coefficients, or send it live."""
    one_thread_a_library()
    from kouxing.infer.animate import animate

    with progress(silent=json) as report:
        made = animate(
            speech,
            out or (),
            method=method.value,
            emotion=emotion or (),
            style=style,
            avatar=avatar,
            send=send,
            explain=explain,
            text=text,
            language=language,
            mouth_video=mouth_video,
            overwrite=force,
            progress=report,
        )
    print_report(made, json)
