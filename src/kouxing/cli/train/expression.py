"""``kouxing train expression``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kouxing.cli.train import options


def expression(
    data: options.Data,
    speech: Annotated[
        Path, typer.Option(metavar="DIR", help="Run folder of `kouxing train speech`, whose encoder hears.")
    ] = Path("runs/speech"),
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Hear with a pretrained encoder instead: whisper:DIR, hubert:DIR or wav2vec2:DIR. Needs "
            "kouxing[pretrained]; the result is for PyTorch, offline.",
        ),
    ] = None,
    layer: Annotated[int, typer.Option(min=-1, metavar="N", help="Hidden layer of --encoder; -1 is the last.")] = -1,
    download: Annotated[
        bool, typer.Option("--download", help="Let --encoder fetch a public model, such as openai/whisper-tiny@COMMIT.")
    ] = False,
    out: options.Out = None,
    closure: Annotated[bool, typer.Option(help="Closure loss, and drawing the lips together.")] = True,
    device: options.Device = "cpu",
    steps: options.Steps = None,
    batch: options.Batch = None,
    precision: options.Precision = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train `expression`: speech, emotion and style to all coefficients. The same command goes on where it stopped."""
    options.check_installed()
    from kouxing.train import expression as recipe

    schedule = options.changed(recipe.PRESETS["expression"], steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or options.RUNS / "expression"
    if dry_run:
        heard = {"speech": speech} if encoder is None else {"encoder": encoder, "layer": layer, "download": download}
        options.show("expression", data, folder, device, schedule, {**heard, "closure": closure})
        return
    options.check_data(data)
    if encoder is not None:
        from kouxing.train import pretrained

        ear: dict[str, Any] = {"encoder": encoder, "layer": layer, "download": download}
        pretrained.main(data, folder, **ear, closure=closure, device=device, schedule=schedule)
        typer.echo(str(folder))
        return
    options.check_file(speech / "best.safetensors", "--speech", speech)
    recipe.main(data, folder, speech=speech, closure=closure, device=device, schedule=schedule)
    typer.echo(str(folder))
