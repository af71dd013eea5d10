"""``kouxing train lipreader``."""

from __future__ import annotations

import typer

from kouxing.cli.train import options


def lipreader(
    data: options.Data,
    out: options.Out = None,
    device: options.Device = "cpu",
    steps: options.Steps = None,
    batch: options.Batch = None,
    precision: options.Precision = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train the lip reader: mouth pictures to phones, on clips whose words are known (GRID's names, align/ID.align).

    A frozen loss of `train lips --lipreader`; with another --seed, its judge. The same command goes on.
    """
    options.check_installed()
    from kouxing.train import lipreader as recipe

    schedule = options.changed(recipe.SCHEDULE, steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or options.RUNS / "lipreader"
    if dry_run:
        options.show("lipreader", data, folder, device, schedule, {})
        return
    options.check_data(data)
    recipe.main(data, folder, device=device, schedule=schedule)
    typer.echo(str(folder))
