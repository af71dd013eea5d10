"""``kouxing train lips``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kouxing.cli.dub import Preset
from kouxing.cli.train import options
from kouxing.errors import OptionError


def lips(
    data: options.Data,
    out: options.Out = None,
    preset: Annotated[Preset, typer.Option(metavar="fast|fine", help="Which network.")] = Preset.fast,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            help="Begin with these weights where they fit: a run, its best.safetensors, or the preset's ONNX files.",
        ),
    ] = None,
    vgg19: Annotated[
        Path | None, typer.Option(metavar="FILE", help="VGG-19 as safetensors, for the perceptual loss; else our own.")
    ] = None,
    judge: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Run folder of `kouxing train sync`, or its ONNX files: the discriminator as a loss."
        ),
    ] = None,
    lipreader: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder of `kouxing train lipreader`: its reader, frozen, as a loss."),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with the preset's ONNX files, whose painting this one is to repeat."),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="LOSS=X", help="Weight of one loss instead of the table's, 0 leaves it out; repeatable."),
    ] = None,
    gan_from: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="SHARE", help="Critics (--weight gan=X) come in after so much.")
    ] = 0.5,
    device: options.Device = "cpu",
    steps: options.Steps = None,
    batch: options.Batch = None,
    rate: options.Rate = None,
    precision: options.Precision = None,
    seed: options.Seed = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train the network that paints mouths. The same command goes on where it stopped.

    It hears as dubs do with the weights in use: KOUXING_WEIGHTS=runs/front:runs/speech:runs/multimodal takes one's own.
    """
    options.check_installed()
    from kouxing.train import lips as recipe
    from kouxing.train.lips_task import loss_table

    given = {"steps": steps, "batch": batch, "rate": rate, "precision": precision, "seed": seed}
    schedule = options.changed(recipe.PRESETS[preset.value], **given)
    folder = out or options.RUNS / f"lips-{preset.value}"
    weights = loss_table(_weights(weight or []))
    losses = {"vgg19": vgg19, "judge": judge, "lipreader": lipreader, "teacher": teacher}
    more: dict[str, Any]
    if dry_run:
        more = {"preset": preset.value, "start": start, **losses, "weights": weights, "gan_from": gan_from}
        options.show("lips", data, folder, device, schedule, more)
        return
    options.check_data(data)
    if teacher is not None:
        options.check_file(teacher / f"lips_{preset.value}_frame.onnx", "--teacher", teacher)
    if start is not None and start.is_dir() and not (start / "best.safetensors").is_file():
        options.check_file(start / f"lips_{preset.value}_references.onnx", "--start", start)
        options.check_file(start / f"lips_{preset.value}_frame.onnx", "--start", start)
    elif start is not None and not start.exists():
        raise OptionError(f"--start {start}: no such file or folder")
    if vgg19 is not None and not vgg19.is_file():
        raise OptionError(f"--vgg19 {vgg19}: no such file")
    if judge is not None and not all((judge / f"sync_{one}.onnx").is_file() for one in ("mouth", "speech")):
        options.check_file(judge / "best.safetensors", "--judge", judge)
    if lipreader is not None:
        options.check_file(lipreader / "best.safetensors", "--lipreader", lipreader)
    more = {"start": start, **losses, "weights": weights, "gan_from": gan_from}
    recipe.main(data, folder, preset=preset.value, device=device, schedule=schedule, **more)
    typer.echo(str(folder))


def _weights(texts: list[str]) -> dict[str, float]:
    """``LOSS=X`` texts."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise OptionError(f"--weight {text}: give it as LOSS=NUMBER") from None
    return found
