"""``kouxing score``: are lips and sound in step, and by how much off."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kouxing.cli.output import print_json, print_report
from kouxing.cli.progress import clock_text, progress
from kouxing.config import one_thread_a_library
from kouxing.errors import OptionError
from kouxing.units import FRAME_HZ

if TYPE_CHECKING:
    from kouxing.infer.score_report import ScoreReport


def command(
    videos: Annotated[
        list[Path], typer.Argument(metavar="VIDEO...", help="A video; or several, or folders with videos (--results).")
    ],
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the video with its sound where it belongs; pictures are copied as they are.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw similarity, offset over time and who speaks (.png).")
    ] = None,
    face: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Only this face, from 0, the largest of the first frame; otherwise up to four."
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Many videos: a JSON line for each goes here; by default kouxing-scores.jsonl. "
            "The same command goes on with a stopped job.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace outputs that are there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object; no progress.")] = False,
) -> None:
    """Tell by how many milliseconds the sound of VIDEO is late or early, how sure that is, and mend it."""
    one_thread_a_library()
    if results is not None or len(videos) > 1 or videos[0].is_dir():
        if fix is not None or plot is not None:
            raise OptionError("--fix and --plot take one video; name it alone and leave --results out")
        if results is not None and results.suffix.lower() in (".csv", ".tsv", ".xlsx"):
            raise OptionError(f"--results {results}: holds a JSON object a line; end the name in .jsonl")
        if force:
            raise OptionError("--force goes with --fix or --plot; --results is added to: remove it to begin anew")
        from kouxing.infer.score_many import score_many

        with progress(silent=json) as report:
            print_report(score_many(videos, results or Path(RESULTS), face=face, progress=report), json)
        return
    from kouxing.infer.score import score

    with progress(silent=json) as report:
        made = score(videos[0], face=face, fix=fix, plot=plot, overwrite=force, progress=report)
    if json:
        print_json(made)
    else:
        _print(made)


RESULTS = "kouxing-scores.jsonl"


def _print(made: ScoreReport) -> None:
    """The report for people: what holds for the whole, then what does not."""
    typer.echo(f"verdict: {made.verdict}")
    if made.offset_ms is not None:
        typer.echo(f"offset: {made.offset_ms:+.0f} ms ({made.offset_frames:+.2f} frames at {FRAME_HZ} a second)")
        typer.echo(f"sure: {min(made.probability, 0.99):.0%} that this is within one frame")
    typer.echo(f"LSE-C {made.lse_c:.3f}, LSE-D {made.lse_d:.3f} (in kouxing's embedding; other tools' differ)")
    if made.drift_frames is not None:
        typer.echo(f"drift: {1000 * made.drift_frames / FRAME_HZ:+.0f} ms from start to end")
    if len(made.stretches) > 1:
        for part in made.stretches:
            typer.echo(f"{clock_text(part.start_s)} to {clock_text(part.end_s)}: {part.offset_ms:+.0f} ms")
    if len(made.faces) > 1:
        for face in made.faces:
            told = ", ".join(f"{clock_text(begin)}-{clock_text(end)}" for begin, end in face.speaking[:8])
            more = ", ..." if len(face.speaking) > 8 else ""
            typer.echo(f"face {face.face}: " + (f"speaks {told}{more}" if told else "does not speak"))
    if made.fixed is not None:
        typer.echo(f"fixed: {made.fixed} (sound moved by {made.moved_ms or 0.0:+.0f} ms)")
    typer.echo(f"speed x: {made.speed_x:.1f}")
    for warning in made.warnings:
        typer.echo(f"kouxing: note: {warning}", err=True)
