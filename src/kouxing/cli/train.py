"""``kouxing train``: the recipes behind the shipped weights."""

from __future__ import annotations

from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from kouxing.cli.dub import Preset
from kouxing.cli.output import print_json
from kouxing.errors import OptionError

app = typer.Typer(help="Train a network; needs kouxing[train].", no_args_is_help=True, rich_markup_mode=None)

RUNS = Path("runs")
NEEDED = ("torch", "lightning_fabric", "safetensors", "tensorboard", "onnx")

Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder with manifest.csv, clips/ and tracks/.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="The run's folder; by default runs/speech, runs/lips-PRESET."),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, mps or auto.")]
Steps = Annotated[int | None, typer.Option(min=1, metavar="N", help="Optimiser steps in all, instead of the preset's.")]
Batch = Annotated[int | None, typer.Option(min=1, metavar="N", help="Samples a step, instead of the preset's.")]
Precision = Annotated[
    str | None, typer.Option(metavar="NAME", help="32-true, 16-mixed or bf16-mixed, instead of the preset's.")
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Source of chance, instead of the preset's.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the settings as JSON and stop.")]


@app.command("speech")
def speech(
    data: Data,
    out: Out = None,
    device: Device = "cpu",
    steps: Steps = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train the speech encoder: log-mel to mouth geometry. The same command goes on where it stopped."""
    _check_installed()
    from kouxing.train import speech as recipe

    changes = {"steps": steps, "batch": batch, "precision": precision, "seed": seed}
    schedule = _changed(recipe.PRESETS["speech"], changes)
    folder = out or RUNS / "speech"
    if dry_run:
        _show("speech", data, folder, device, schedule, {})
        return
    _check_file(data / "manifest.csv", "--data", data)
    recipe.main(data, folder, device=device, schedule=schedule)
    typer.echo(str(folder))


@app.command("lips")
def lips(
    data: Data,
    speech: Annotated[
        Path, typer.Option(metavar="DIR", help="Run folder of `kouxing train speech`, whose features drive the mouth.")
    ] = Path("runs/speech"),
    out: Out = None,
    preset: Annotated[Preset, typer.Option(metavar="fast|fine", help="Which network.")] = Preset.fast,
    start: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="best.safetensors of another preset, whose fitting tensors are taken over."),
    ] = None,
    vgg19: Annotated[
        Path | None, typer.Option(metavar="FILE", help="VGG-19 as safetensors, for the perceptual loss; else our own.")
    ] = None,
    device: Device = "cpu",
    steps: Steps = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train the network that paints mouths. The same command goes on where it stopped."""
    _check_installed()
    from kouxing.train import lips as recipe

    changes = {"steps": steps, "batch": batch, "precision": precision, "seed": seed}
    schedule = _changed(recipe.PRESETS[preset.value], changes)
    folder = out or RUNS / f"lips-{preset.value}"
    if dry_run:
        more = {"preset": preset.value, "speech": speech, "start": start, "vgg19": vgg19}
        _show("lips", data, folder, device, schedule, more)
        return
    _check_file(data / "manifest.csv", "--data", data)
    _check_file(speech / "best.safetensors", "--speech", speech)
    for option, path in (("--start", start), ("--vgg19", vgg19)):
        if path is not None and not path.is_file():
            raise OptionError(f"{option} {path}: no such file")
    recipe.main(
        data, folder, preset=preset.value, speech=speech, start=start, vgg19=vgg19, device=device, schedule=schedule
    )
    typer.echo(str(folder))


def _check_installed() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise OptionError(f"training needs {', '.join(missing)}: install it with pip install 'kouxing[train]'")


def _check_file(path: Path, option: str, folder: Path) -> None:
    if not path.is_file():
        raise OptionError(f"{option} {folder}: has no {path.name}; give the folder that holds it")


def _changed(schedule: Any, changes: dict[str, Any]) -> Any:
    return replace(schedule, **{name: value for name, value in changes.items() if value is not None})


def _show(network: str, data: Path, out: Path, device: str, schedule: Any, more: dict[str, Any]) -> None:
    """The settings of a run that is not started."""
    print_json({"network": network, "data": data, "out": out, "device": device, **more, "schedule": asdict(schedule)})
