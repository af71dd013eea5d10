"""What the commands of ``kouxing train`` share: their options, and what is checked before they run."""

from __future__ import annotations

from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from kouxing.cli.output import print_json
from kouxing.data.manifest import read_manifest
from kouxing.errors import OptionError

RUNS = Path("runs")
NEEDED = ("torch", "lightning_fabric", "safetensors", "tensorboard", "onnx")

Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder with manifest.csv, clips/ and tracks/.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="The run's folder; by default runs/NETWORK."),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, mps or auto.")]
Steps = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Optimiser steps of each part, instead of the preset's.")
]
Batch = Annotated[int | None, typer.Option(min=1, metavar="N", help="Samples a step, instead of the preset's.")]
Rate = Annotated[float | None, typer.Option(min=1e-7, metavar="X", help="Peak learning rate, instead of the preset's.")]
Precision = Annotated[
    str | None, typer.Option(metavar="NAME", help="32-true, 16-mixed or bf16-mixed, instead of the preset's.")
]
Optimiser = Annotated[
    str | None, typer.Option(metavar="NAME", help="adamw, adam, sgd or adagrad; the preset's rate is for adamw.")
]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Source of chance, instead of the preset's.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the settings as JSON and stop.")]


def check_installed() -> None:
    """Refuse, in one line, what PyTorch is missing for.

    Raises:
        OptionError: a package of kouxing[train] is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise OptionError(f"training needs {', '.join(missing)}: install it with pip install 'kouxing[train]'")


def check_file(path: Path, option: str, folder: Path) -> None:
    """Refuse a folder that lacks a file.

    Raises:
        OptionError: ``path`` is no file; the line names ``option`` and the ``folder`` given with it.
    """
    if not path.is_file():
        raise OptionError(f"{option} {folder}: has no {path.name}; give the folder that holds it")


def check_data(data: Path) -> None:
    """Refuse a data set that nothing can be trained on, before hours of work.

    Raises:
        OptionError: ``data`` has no manifest. DataError: the manifest is wrong, or has no clip of ``train`` or ``val``.
    """
    check_file(data / "manifest.csv", "--data", data)
    for split in ("train", "val"):
        read_manifest(data, split)


def changed(schedule: Any, **changes: Any) -> Any:
    """The schedule with what the user set, which is what is not None."""
    return replace(schedule, **{name: value for name, value in changes.items() if value is not None})


def show(network: str, data: Path, out: Path, device: str, schedule: Any, more: dict[str, Any]) -> None:
    """The settings of a run that is not started."""
    print_json({"network": network, "data": data, "out": out, "device": device, **more, "schedule": asdict(schedule)})
