"""``kouxing demo``: a talking picture from what the package carries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.dub import Preset
from kouxing.cli.output import print_json
from kouxing.cli.progress import progress
from kouxing.config import one_thread_a_library


def command(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The video to write; replaced if it is there.")
    ] = Path("kouxing-demo.mp4"),
    preset: Annotated[Preset, typer.Option(metavar="fast|fine", help="As for `kouxing dub`.")] = Preset.fine,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object; no progress.")] = False,
) -> None:
    """Dub the bundled photo with the bundled voice: the quickest way to see that everything works."""
    one_thread_a_library()
    from kouxing.infer.demo import demo

    with progress(silent=json) as report:
        made = demo(out, preset=preset.value, progress=report)
    if json:
        print_json(made)
    else:
        typer.echo(str(out.resolve()))
