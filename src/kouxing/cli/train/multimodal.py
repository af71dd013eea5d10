"""``kouxing train multimodal``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kouxing.cli.train import options
from kouxing.errors import OptionError


def multimodal(
    data: options.Data,
    speech: Annotated[
        Path, typer.Option(metavar="DIR", help="Run folder of the speech encoder on log-mel that ships (`train ears`).")
    ] = Path("runs/speech"),
    expression: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Run folder of `train expression` on the same encoder; it speaks what has no face."
        ),
    ] = Path("runs/expression-mel"),
    texts: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What is said in clips, in English: ID.txt each. Beside those that DATA has."),
    ] = None,
    joins: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="modulation; concatenation or contrastive as a comparison (after the first run)."
        ),
    ] = "modulation",
    out: options.Out = None,
    device: options.Device = "cpu",
    steps: options.Steps = None,
    batch: options.Batch = None,
    precision: options.Precision = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train `multimodal`: text, speech and mouth pictures, any of them, to one mouth; and the aligner of texts.

    The same command goes on where it stopped.
    """
    options.check_installed()
    from kouxing.models.multimodal import JOINS
    from kouxing.train import multimodal as recipe

    if joins not in JOINS:
        raise OptionError(f"--joins {joins}: choose one of {', '.join(JOINS)}")
    schedule = options.changed(recipe.PRESETS["multimodal"], steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or options.RUNS / ("multimodal" if joins == "modulation" else f"multimodal-{joins}")
    if dry_run:
        more = {"speech": speech, "expression": expression, "texts": texts, "joins": joins}
        options.show("multimodal", data, folder, device, schedule, more)
        return
    options.check_data(data)
    options.check_file(speech / "best.safetensors", "--speech", speech)
    options.check_file(expression / "best.safetensors", "--expression", expression)
    if texts is not None and not texts.is_dir():
        raise OptionError(f"--texts {texts}: no such folder; give one with ID.txt for clips whose words are known")
    recipe.main(
        data, folder, speech=speech, expression=expression, texts=texts, joins=joins, device=device,
        schedule=schedule,
    )  # fmt: skip
    typer.echo(str(folder))
