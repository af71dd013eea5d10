"""``kouxing train coefficients``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.train import options


def coefficients(
    data: options.Data,
    meshes: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep face meshes of the clips here, or take them from here; else the cache."),
    ] = None,
    out: options.Out = None,
    device: options.Device = "cpu",
    steps: options.Steps = None,
    batch: options.Batch = None,
    precision: options.Precision = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train the reader of ARKit coefficients: face mesh to what MediaPipe's face_landmarker.task said of the footage.

    DATA's tracks must hold `blendshapes`. The same command goes on where it stopped.
    """
    options.check_installed()
    from kouxing.train import coefficients as recipe

    schedule = options.changed(recipe.SCHEDULE, steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or options.RUNS / "coefficients"
    if dry_run:
        options.show("coefficients", data, folder, device, schedule, {"meshes": meshes})
        return
    options.check_data(data)
    recipe.main(data, folder, meshes=meshes, device=device, schedule=schedule)
    typer.echo(str(folder))
