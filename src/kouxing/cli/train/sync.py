"""``kouxing train sync``, and ``train judges``, which joins several."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.output import print_json
from kouxing.cli.train import options
from kouxing.errors import OptionError


def sync(
    data: options.Data,
    speech: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Run folder of `kouxing train speech` to start from: the filter from its phones."
        ),
    ] = None,
    whisper: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of a Whisper model: train `syncx` on it; needs kouxing[pretrained]."),
    ] = None,
    resnext: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="resnext50_32x4d as safetensors, from which `syncx`'s mouth encoder starts."),
    ] = None,
    out: options.Out = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Also train the same network in one stage, for comparison.")
    ] = False,
    spoiled: Annotated[
        bool, typer.Option("--spoiled", help="Also spoil a fifth of the clips and tell what the filter finds.")
    ] = False,
    set_two: Annotated[
        Path | None,
        typer.Option("--set2", metavar="FILE", help="set2.csv of another run, instead of a filter of its own."),
    ] = None,
    device: options.Device = "cpu",
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Steps of each stage.")] = None,
    batch: options.Batch = None,
    precision: options.Precision = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train the sync discriminator in three stages, the filter between. The same command goes on where it stopped."""
    options.check_installed()
    from kouxing.train import sync as recipe

    changes = {"steps": steps, "batch": batch, "precision": precision, "seed": seed}
    stages = {
        name: replace(stage, schedule=options.changed(stage.schedule, **changes))
        for name, stage in recipe.RECIPE.items()
    }
    folder = out or options.RUNS / ("sync" if whisper is None else "syncx")
    if dry_run:
        told = {name: asdict(stage) for name, stage in stages.items()}
        sources = {"speech": speech, "whisper": whisper, "resnext": resnext, "set2": set_two}
        parts = {"baseline": baseline, "spoiled": spoiled}
        where = {"data": data, "out": folder, "device": device}
        print_json({"network": "sync", **where, **sources, **parts, "stages": told})
        return
    options.check_data(data)
    if speech is not None:
        options.check_file(speech / "best.safetensors", "--speech", speech)
    if resnext is not None and whisper is None:
        raise OptionError("--resnext goes with --whisper: both are of syncx")
    if resnext is not None and not resnext.is_file():
        raise OptionError(f"--resnext {resnext}: no such file")
    if set_two is not None and not set_two.is_file():
        raise OptionError(f"--set2 {set_two}: no such file")
    phones = None if speech is None else speech / "phones" / "best.safetensors"
    if phones is not None and not phones.exists():
        typer.echo(f"{phones} is not there: the filter's discriminators start from nothing, and tell less")
        phones = None
    recipe.main(
        data, folder, speech=None if speech is None else speech / "best.safetensors", phones=phones, whisper=whisper,
        resnext=resnext, recipe=stages, baseline=baseline, spoiled=spoiled, set_two=set_two, device=device,
    )  # fmt: skip
    typer.echo(str(folder))


def judges(
    data: options.Data,
    run: Annotated[
        list[Path], typer.Option("--run", metavar="DIR", help="Run folder of `kouxing train sync`; two or more.")
    ],
    out: options.Out = None,
) -> None:
    """Join several trained sync discriminators (other seeds) into one."""
    options.check_installed()
    from kouxing.train import sync as recipe

    options.check_data(data)
    folder = out or options.RUNS / "judges"
    recipe.average(run, data, folder, report=typer.echo)
    typer.echo(str(folder))
