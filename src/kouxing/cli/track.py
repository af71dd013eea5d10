"""``kouxing track``: footage of a face as ARKit's coefficients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.output import print_report
from kouxing.cli.progress import progress
from kouxing.config import one_thread_a_library


def command(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="Video or photo of a face, any format FFmpeg reads.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="What to write: Live Link Face (.csv) or .json.")
    ],
    landmarker: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="MediaPipe's face_landmarker.task, by default KOUXING_LANDMARKER; without it, our own network.",
        ),
    ] = None,
    face_index: Annotated[
        int,
        typer.Option(
            "--face", min=0, metavar="N", help="Which face of a crowd, from 0, the largest of the first frame."
        ),
    ] = 0,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave values as they are read, not calibrated to the person.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the output if it is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object; no progress.")] = False,
) -> None:
    """Write the 52 ARKit coefficients of a face in VIDEO, 60 rows a second, with head and eye angles."""
    one_thread_a_library()
    from kouxing.infer.track import track

    with progress(silent=json) as report:
        made = track(
            video,
            out,
            landmarker=landmarker,
            face_index=face_index,
            calibrate=not raw,
            overwrite=force,
            progress=report,
        )
    print_report(made, json)
