"""``kouxing dub``: the same footage, saying something else."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.output import print_report
from kouxing.cli.progress import progress
from kouxing.config import one_thread_a_library


class Length(str, Enum):
    """Whose length the output has."""

    video = "video"
    speech = "speech"
    loop = "loop"


class Preset(str, Enum):
    """Which network paints."""

    fast = "fast"
    fine = "fine"


class Voice(str, Enum):
    """Whose voice speaks."""

    own = "own"
    other = "other"


def _number_or_auto(text: str) -> str:
    """Refuse what is neither, with the parser's own words."""
    if text != "auto":
        try:
            float(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is no number; give one from 0 to 3, or auto") from None
    return text


def command(
    face: Annotated[
        Path, typer.Argument(metavar="FACE", help="Video or photo of the person, any format FFmpeg reads.")
    ],
    speech: Annotated[Path, typer.Argument(metavar="SPEECH", help="Sound file, or a video whose sound is taken.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The video to write (.mp4).")],
    mouth: Annotated[
        str,
        typer.Option(
            metavar="X|auto",
            callback=_number_or_auto,
            help="How far the mouth opens; 1.0 as the speech asks. auto: quiet or mumbled speech opens it as clear "
            "speech does.",
        ),
    ] = "1.0",
    face_index: Annotated[
        int,
        typer.Option(
            "--face", min=0, metavar="N", help="Which face of a crowd, from 0, the largest of the first frame."
        ),
    ] = 0,
    length: Annotated[
        Length,
        typer.Option(
            metavar="video|speech|loop",
            help="Length of the output: the video's; the speech's, cut or with the last frame held; or the speech's "
            "with the video running forth and back.",
        ),
    ] = Length.video,
    preset: Annotated[
        Preset, typer.Option(metavar="fast|fine", help="fast: real time on 2 CPU cores. fine: a better picture.")
    ] = Preset.fast,
    person: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Person file of `kouxing fit` (.kx), in place of the network.")
    ] = None,
    voice: Annotated[
        Voice,
        typer.Option(
            metavar="own|other",
            help="With --person, whose voice SPEECH is: with their own, the mouth moves in their manner.",
        ),
    ] = Voice.own,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            "--transcript",
            metavar="TEXT|FILE",
            help="What is said: helps where SPEECH is noisy or has holes. A text, or .txt, .srt, .TextGrid, .align.",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="The text's language, as espeak-ng has it; en by default.")
    ] = None,
    mouth_video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Video of a face saying SPEECH: its lips are followed.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a job that was stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the output if it is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object; no progress.")] = False,
) -> None:
    """Write FACE saying SPEECH; only the mouth region changes."""
    one_thread_a_library()
    from kouxing.infer.dub import dub

    with progress(silent=json) as report:
        made = dub(
            face,
            speech,
            out,
            mouth=mouth if mouth == "auto" else float(mouth),
            face_index=face_index,
            length=length.value,
            preset=preset.value,
            person=person,
            voice=voice.value,
            text=text,
            language=language,
            mouth_video=mouth_video,
            resume=resume,
            overwrite=force,
            progress=report,
        )
    print_report(made, json)
