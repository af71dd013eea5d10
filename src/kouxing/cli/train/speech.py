"""``kouxing train speech``, and ``train ears``, which joins several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.train import options
from kouxing.errors import OptionError


def speech(
    data: options.Data,
    out: options.Out = None,
    live: Annotated[bool, typer.Option("--live", help="For streams: hear less than 100 ms ahead.")] = False,
    front: Annotated[
        bool, typer.Option("--front", help="Hear through the front, layers of a speech recogniser.")
    ] = False,
    set_two: Annotated[
        Path | None,
        typer.Option("--set2", metavar="FILE", help="set2.csv of `train sync`: which clips are in step, words too."),
    ] = None,
    device: options.Device = "cpu",
    steps: options.Steps = None,
    batch: options.Batch = None,
    precision: options.Precision = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train the speech encoder: sound to mouth geometry. The same command goes on where it stopped."""
    options.check_installed()
    from kouxing.train import speech as recipe

    schedule = options.changed(recipe.PRESETS["speech"], steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or options.RUNS / "speech"
    if dry_run:
        options.show("speech", data, folder, device, schedule, {"live": live, "front": front, "set2": set_two})
        return
    options.check_data(data)
    if set_two is not None and not set_two.is_file():
        raise OptionError(f"--set2 {set_two}: no such file")
    recipe.main(data, folder, live=live, front=front, set_two=set_two, device=device, schedule=schedule)
    typer.echo(str(folder))


def ears(
    data: options.Data,
    run: Annotated[
        list[Path], typer.Option("--run", metavar="DIR", help="Run folder of `kouxing train speech`; two or more.")
    ],
    out: options.Out = None,
) -> None:
    """Average several trained speech encoders (other seeds) into one."""
    options.check_installed()
    from kouxing.train import speech as recipe

    options.check_data(data)
    folder = out or options.RUNS / "ears"
    recipe.average(run, data, folder, report=typer.echo)
    typer.echo(str(folder))
