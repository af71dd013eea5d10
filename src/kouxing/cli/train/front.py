"""``kouxing train front``."""

from __future__ import annotations

import typer

from kouxing.cli.train import options


def front(
    data: options.Data,
    out: options.Out = None,
    device: options.Device = "cpu",
    steps: options.Steps = None,
    batch: options.Batch = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Teach the front for streams what the front tells of whole sounds. The same command goes on where it stopped."""
    options.check_installed()
    from kouxing.train import front as recipe

    schedule = options.changed(recipe.PRESETS["front"], steps=steps, batch=batch, seed=seed)
    folder = out or options.RUNS / "front_live"
    if dry_run:
        options.show("front", data, folder, device, schedule, {})
        return
    options.check_data(data)
    recipe.main(data, folder, device=device, schedule=schedule)
    typer.echo(str(folder))
