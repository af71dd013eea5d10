"""``kouxing prepare``: footage as a data set for training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.output import print_report
from kouxing.cli.progress import progress
from kouxing.config import one_thread_a_library


def command(
    footage: Annotated[
        list[Path], typer.Argument(metavar="FOOTAGE...", help="Videos, and folders of videos (with their subfolders).")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="DATASET", help="Folder of the data set; one that this command began goes on."
        ),
    ],
    info: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV with column file (name or path of a video, or the end of its path) and any of speaker, language, "
            "licence, corpus, source, split.",
        ),
    ] = None,
    speaker: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who is seen; by default each file is somebody unknown.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Language that is spoken, e.g. en; by default und.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="own, open (CC BY, MIT and the like), research, or what you know; by default unknown."
        ),
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the footage is from; by default unknown.")
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="T/V/E", help="Shares of train, val and test; a speaker or file is in one only.")
    ] = "0.9/0.05/0.05",
    seconds: Annotated[float, typer.Option(metavar="S", help="Length of a clip.")] = 5.0,
    least: Annotated[float, typer.Option(metavar="S", help="Shorter rests are not kept.")] = 2.0,
    face_px: Annotated[
        float, typer.Option("--face-px", metavar="PX", help="Smallest face, in the footage's pixels.")
    ] = 64.0,
    turn: Annotated[float, typer.Option(metavar="DEG", help="Largest angle between face and camera.")] = 50.0,
    detail: Annotated[float, typer.Option(metavar="X", help="Smallest sharpness of the lower face, 0..1.")] = 0.025,
    sync: Annotated[
        bool, typer.Option("--sync/--no-sync", help="Measure each clip's sync offset and confidence.")
    ] = True,
    landmarker: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="MediaPipe's face_landmarker.task, by default KOUXING_LANDMARKER; without it, our own coefficients.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Processes; by default one a core. 0: all in this one, for debugging."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object; no progress.")] = False,
) -> None:
    """Make a data set of FOOTAGE: 5-second clips of one face with sound, tracks, manifest, rejects and a contact sheet.

    The same command goes on where it was stopped.
    """
    one_thread_a_library()
    from kouxing.infer.prepare.plan import Settings
    from kouxing.infer.prepare.run import prepare

    with progress(silent=json) as report:
        made = prepare(
            footage,
            out,
            settings=Settings(clip_s=seconds, least_s=least, face_px=face_px, turn_deg=turn, detail=detail),
            info=info,
            speaker=speaker,
            language=language,
            licence=licence,
            corpus=corpus,
            split=split,
            sync=sync,
            landmarker=landmarker,
            jobs=jobs,
            progress=report,
        )
    print_report(made, json)
