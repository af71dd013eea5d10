"""``kouxing fit``: the lips network learns one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.dub import Preset
from kouxing.cli.output import print_report
from kouxing.cli.progress import progress


def command(
    footage: Annotated[
        list[Path],
        typer.Argument(metavar="FOOTAGE...", help="Videos of the person talking, 1 to 5 minutes together."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The person file to write (.kx).")],
    preset: Annotated[Preset, typer.Option(metavar="fast|fine", help="Which network learns.")] = Preset.fast,
    face_index: Annotated[
        int,
        typer.Option(
            "--face", min=0, metavar="N", help="Which face of a crowd, from 0, the largest of the first frame."
        ),
    ] = 0,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, mps or auto.")] = "cpu",
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Optimiser steps at most; it stops by itself before.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a job that was stopped.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the output if it is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object; no progress.")] = False,
) -> None:
    """Learn one person from FOOTAGE, for `kouxing dub --person`; needs kouxing[train]."""
    from kouxing.cli.train.options import check_installed

    check_installed()
    from kouxing.train.fit import fit

    with progress(silent=json) as report:
        made = fit(
            footage,
            out,
            preset=preset.value,
            face_index=face_index,
            device=device,
            steps=steps,
            resume=resume,
            overwrite=force,
            progress=report,
        )
    print_report(made, json)
