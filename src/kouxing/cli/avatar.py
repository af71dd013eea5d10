"""``kouxing avatar``: a photo becomes a head that talks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.output import print_report
from kouxing.config import one_thread_a_library


def command(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="Picture of a face, best from the front.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The avatar to write (.glb).")],
    face_index: Annotated[
        int, typer.Option("--face", min=0, metavar="N", help="Which face of several, from 0, the largest.")
    ] = 0,
    texture: Annotated[
        int, typer.Option(metavar="256|512|1024|2048", help="Largest side of the picture in the file, in pixels.")
    ] = 1024,
    force: Annotated[bool, typer.Option("--force", help="Replace the output if it is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Make a GLB with ARKit's 52 morph targets out of PHOTO, for `kouxing animate --avatar` and other programs."""
    one_thread_a_library()
    from kouxing.infer.avatar import avatar

    made = avatar(photo, out, face_index=face_index, texture_px=texture, overwrite=force)
    print_report(made, json)
