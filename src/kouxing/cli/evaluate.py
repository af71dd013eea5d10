"""``kouxing evaluate``: what the independent judge measures."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from kouxing.cli.dub import Preset
from kouxing.cli.output import print_json
from kouxing.cli.progress import progress
from kouxing.errors import OptionError

app = typer.Typer(help="Measure a network on held-out footage.", no_args_is_help=True, rich_markup_mode=None)

WIDEST = 500
"""Columns of text that a table in a file may take."""

Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder with manifest.csv, clips/ and tracks/.")]
Split = Annotated[str, typer.Option(metavar="NAME", help="Which split of the manifest.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Folder for JSON and pictures; by default kouxing-evaluation."),
]


def _page(name: str | None) -> str | None:
    """A table that there is, before any work."""
    from kouxing.eval.rows import LABELS

    if name is not None and name not in LABELS:
        raise OptionError(f"--figures {name}: there is no such table; choose one of {', '.join(sorted(LABELS))}")
    return name


Figures = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", callback=_page,
        help="Also write docs/figures/NAME.json and the README's table, in the checkout that kouxing runs from.",
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object; no progress.")]


@app.callback()
def _group() -> None:
    """Measure a network on held-out footage."""


@app.command("lips")
def lips(
    data: Data,
    preset: Annotated[Preset, typer.Option(metavar="fast|fine", help="Which network.")] = Preset.fast,
    split: Split = "test",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many clips of each part of the split.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Older dubs of the clips, ID.mp4 with its own speech: judged beside."),
    ] = None,
    out: Out = None,
    figures: Figures = None,
    json: Json = False,
) -> None:
    """Dub the split's clips and print a table beside ground truth, a copied mouth and wrong speech.

    Figures go to the table of that name, dub or lips; `lips` leaves out --mouth, which `evaluate opening` measures.
    """
    from kouxing.eval.lips import evaluate

    opening = figures != "lips"
    with progress(silent=json) as report:
        found = evaluate(data, preset.value, split, limit, out, against, opening, progress=_of_clips(report))
    words = ["lips", "--data", str(data), "--preset", preset.value, "--split", split]
    words += [] if limit is None else ["--limit", str(limit)]
    words += [] if against is None else ["--against", str(against)]
    _tell(found, {"preset": found.preset, "split": found.split}, words, figures, json, labelled=True)


@app.command("opening")
def opening(
    data: Data,
    preset: Annotated[Preset, typer.Option(metavar="fast|fine", help="Which network.")] = Preset.fast,
    split: Split = "test",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many clips of each part of the split.")
    ] = None,
    out: Out = None,
    figures: Figures = None,
    json: Json = False,
) -> None:
    """Dub clips at --mouth 0.4 to 1.8, and quiet and mumbled speech with --mouth auto; tell how far mouths open."""
    from kouxing.eval.opening import evaluate

    with progress(silent=json) as report:
        found = evaluate(data, preset.value, split, limit, out, progress=_of_clips(report))
    words = ["opening", "--data", str(data), "--preset", preset.value, "--split", split]
    words += [] if limit is None else ["--limit", str(limit)]
    _tell(found, {"preset": found.preset, "split": found.split}, words, figures, json)


@app.command("lipreading")
def lipreading(
    data: Data,
    run: Annotated[
        Path, typer.Option(metavar="DIR", help="Run folder of `train lipreader`; not one that trained the network.")
    ],
    preset: Annotated[Preset, typer.Option(metavar="fast|fine", help="Which network.")] = Preset.fast,
    split: Annotated[str, typer.Option(metavar="NAME", help="Which split of the manifest.")] = "test-person",
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most so many clips.")] = None,
    out: Out = None,
    figures: Figures = None,
    json: Json = False,
) -> None:
    """Dub clips whose words are known; a lip reader reads the real and the dubbed mouths. Needs kouxing[train]."""
    from kouxing.cli.train.options import check_installed

    check_installed()
    from kouxing.eval.lipreading import evaluate

    with progress(silent=json) as report:
        found = evaluate(data, run, preset.value, split, limit, out, progress=_of_clips(report))
    words = ["lipreading", "--data", str(data), "--run", str(run), "--preset", preset.value, "--split", split]
    words += [] if limit is None else ["--limit", str(limit)]
    _tell(found, {"split": found.split}, words, figures, json)


@app.command("animate")
def animate(
    data: Data,
    split: Split = "test",
    ablated: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder of `train expression` without its closure loss, judged beside."),
    ] = None,
    out: Out = None,
    figures: Figures = None,
    json: Json = False,
) -> None:
    """Animate the split's speech and print a table beside loudness, the mean pose and the tracked coefficients."""
    from kouxing.eval.animate import evaluate

    with progress(silent=json) as report:
        found = evaluate(data, split, out, ablated=ablated, progress=_of_clips(report))
    words = ["animate", "--data", str(data), "--split", split]
    words += [] if ablated is None else ["--ablated", str(ablated)]
    _tell(found, {"split": found.split}, words, figures, json)


@app.command("sync")
def sync(
    data: Data,
    split: Split = "test",
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder of `train sync`: its weights are judged and its stages compared."),
    ] = None,
    out: Out = None,
    figures: Figures = None,
    json: Json = False,
) -> None:
    """Plant offsets into the split's clips and find them again; tell true pairs from false, clean and spoiled."""
    from kouxing.eval.sync import evaluate

    with progress(silent=json) as report:
        found = evaluate(data, split, out, run, progress=_of_clips(report))
    words = ["sync", "--data", str(data), "--split", split]
    words += [] if run is None else ["--run", str(run)]
    _tell(found, {"split": found.split}, words, figures, json)


@app.command("multimodal")
def multimodal(
    data: Data,
    split: Split = "test",
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Run folder of `train multimodal`: its weights are judged, else the shipped ones."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many clips of each part of the split.")
    ] = None,
    faces: Annotated[
        int, typer.Option(min=0, metavar="N", help="Also paint N clips and judge them beside `lips`; a minute each.")
    ] = 0,
    out: Out = None,
    figures: Figures = None,
    json: Json = False,
) -> None:
    """Judge every subset of text, sound and mouth pictures in clean, noisy and broken sound, and the aligner."""
    from kouxing.eval.multimodal import evaluate

    with progress(silent=json) as report:
        found = evaluate(data, split, out, weights=run, limit=limit, faces=faces, progress=_of_clips(report))
    words = ["multimodal", "--data", str(data), "--split", split]
    words += [] if run is None else ["--run", str(run)]
    words += [] if limit is None else ["--limit", str(limit)]
    words += ["--faces", str(faces)] if faces else []
    _tell(found, {"split": found.split}, words, figures, json)


def _of_clips(report: Callable[[str, int, int | None], None] | None) -> Callable[[int, int], None]:
    """Progress of an evaluation, told in clips."""

    def told(done: int, total: int) -> None:
        if report is not None:
            report("clips", done, total)

    return told


def _tell(
    found: Any, about: dict[str, str], words: list[str], figures: str | None, as_json: bool, labelled: bool = False
) -> None:
    """Print the report, then write the figures where asked for (``words`` are the command's own).

    With ``labelled`` only those that the table of that name has a line for: the command serves several tables.
    """
    if as_json:
        print_json({**about, "figures": found.figures, "files": found.files})
    else:
        _print(found.table())
        for path in found.files:
            typer.echo(str(path))
    if figures is not None:
        from kouxing.eval import figures as pages

        command = shlex.join(["kouxing", "evaluate", *words, "--figures", figures])
        told = pages.of_table(figures, found.figures) if labelled else found.figures
        written = pages.write(figures, command, told)
        pages.refresh_all()
        if not as_json:
            typer.echo(str(written))


def _print(table: Any) -> None:
    """A table, whole."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        # A file or pipe has room for whole figures; on a screen the window decides.
        console.width = max(console.width, console.measure(table, options=console.options.update_width(WIDEST)).maximum)
    console.print(table)
