"""``kouxing train mouth``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kouxing.cli.train import options


def mouth(
    data: options.Data,
    out: options.Out = None,
    masking: Annotated[bool, typer.Option(help="Random-length masking.")] = True,
    attention: Annotated[bool, typer.Option(help="Attention over the last two seconds.")] = True,
    similarity: Annotated[bool, typer.Option(help="Comparison of each step with those before.")] = True,
    phones: Annotated[bool, typer.Option(help="Phone pre-training; needs kouxing[text].")] = True,
    expression: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder of `kouxing train expression`, to speak what has no face."),
    ] = None,
    speech: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Run folder that --expression was trained with; it tells who is in step."),
    ] = Path("runs/speech"),
    device: options.Device = "cpu",
    steps: options.Steps = None,
    batch: options.Batch = None,
    precision: options.Precision = None,
    optimiser: options.Optimiser = None,
    rate: options.Rate = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train `mouth`: speech to mouth coefficients, streaming. The --no- options leave a part out, as a comparison."""
    options.check_installed()
    from kouxing.models.mouth import MouthDimensions
    from kouxing.train import mouth as recipe

    given = {"steps": steps, "batch": batch, "precision": precision, "optimiser": optimiser, "rate": rate, "seed": seed}
    schedule = options.changed(recipe.PRESETS["mouth"], **given)
    folder = out or options.RUNS / "mouth"
    if dry_run:
        parts = {"masking": masking, "attention": attention, "similarity": similarity, "phones": phones}
        sources = {"expression": expression, "speech": speech}
        options.show("mouth", data, folder, device, schedule, {**parts, **sources})
        return
    options.check_data(data)
    size = MouthDimensions(attends=attention, compares=similarity)
    more: dict[str, Any] = {"masking": masking, "phones": phones, "expression": expression, "speech": speech}
    recipe.main(data, folder, dimensions=size, **more, device=device, schedule=schedule)
    typer.echo(str(folder))
