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
    typer.Option("--out", "-o", metavar="DIR", help="The run's folder; by default runs/NETWORK."),
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
    live: Annotated[
        bool, typer.Option("--live", help="Hear at most 97.5 ms ahead, for streams; else 247.5 ms.")
    ] = False,
    device: Device = "cpu",
    steps: Steps = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train the speech encoder: log-mel to mouth geometry. The same command goes on where it stopped."""
    check_installed()
    from kouxing.train import speech as recipe

    schedule = _changed(recipe.PRESETS["speech"], steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or RUNS / "speech"
    if dry_run:
        _show("speech", data, folder, device, schedule, {"live": live})
        return
    _check_file(data / "manifest.csv", "--data", data)
    recipe.main(data, folder, live=live, device=device, schedule=schedule)
    typer.echo(str(folder))


@app.command("ears")
def ears(
    data: Data,
    run: Annotated[
        list[Path], typer.Option("--run", metavar="DIR", help="Run folder of `kouxing train speech`; two or more.")
    ],
    out: Out = None,
) -> None:
    """Average several trained speech encoders (other seeds) into one."""
    check_installed()
    from kouxing.train import speech as recipe

    _check_file(data / "manifest.csv", "--data", data)
    folder = out or RUNS / "ears"
    recipe.average(run, data, folder, report=typer.echo)
    typer.echo(str(folder))


@app.command("coefficients")
def coefficients(
    data: Data,
    meshes: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep face meshes of the clips here, or take them from here; else the cache."),
    ] = None,
    out: Out = None,
    device: Device = "cpu",
    steps: Steps = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train the reader of ARKit coefficients: face mesh to what MediaPipe's face_landmarker.task said of the footage.

    DATA's tracks must hold `blendshapes`. The same command goes on where it stopped.
    """
    check_installed()
    from kouxing.train import coefficients as recipe

    schedule = _changed(recipe.SCHEDULE, steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or RUNS / "coefficients"
    if dry_run:
        _show("coefficients", data, folder, device, schedule, {"meshes": meshes})
        return
    _check_file(data / "manifest.csv", "--data", data)
    recipe.main(data, folder, meshes=meshes, device=device, schedule=schedule)
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
    judge: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder of `kouxing train sync`: its discriminator, frozen, as a loss."),
    ] = None,
    lipreader: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder of `kouxing train lipreader`: its reader, frozen, as a loss."),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(metavar="LOSS=X", help="Weight of one loss instead of the table's, 0 leaves it out; repeatable."),
    ] = None,
    gan_from: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="SHARE", help="Critics (--weight gan=X) come in after so much.")
    ] = 0.5,
    device: Device = "cpu",
    steps: Steps = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train the network that paints mouths. The same command goes on where it stopped."""
    check_installed()
    from kouxing.train import lips as recipe

    schedule = _changed(recipe.PRESETS[preset.value], steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or RUNS / f"lips-{preset.value}"
    weights = recipe.loss_table(_weights(weight or []))
    losses = {"vgg19": vgg19, "judge": judge, "lipreader": lipreader}
    more: dict[str, Any]
    if dry_run:
        more = {"preset": preset.value, "speech": speech, "start": start, **losses, "weights": weights}
        _show("lips", data, folder, device, schedule, more)
        return
    _check_file(data / "manifest.csv", "--data", data)
    _check_file(speech / "best.safetensors", "--speech", speech)
    for option, path in (("--start", start), ("--vgg19", vgg19)):
        if path is not None and not path.is_file():
            raise OptionError(f"{option} {path}: no such file")
    for option, run in (("--judge", judge), ("--lipreader", lipreader)):
        if run is not None:
            _check_file(run / "best.safetensors", option, run)
    more = {"speech": speech, "start": start, **losses, "weights": weights, "gan_from": gan_from}
    recipe.main(data, folder, preset=preset.value, device=device, schedule=schedule, **more)
    typer.echo(str(folder))


@app.command("sync")
def sync(
    data: Data,
    speech: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Run folder of `kouxing train speech`, whose convolutions the ear starts from."
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
    out: Out = None,
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
    device: Device = "cpu",
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Steps of each stage.")] = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train the sync discriminator in three stages, the filter between. The same command goes on where it stopped."""
    check_installed()
    from kouxing.train import sync as recipe

    changes = {"steps": steps, "batch": batch, "precision": precision, "seed": seed}
    stages = {
        name: replace(stage, schedule=_changed(stage.schedule, **changes)) for name, stage in recipe.RECIPE.items()
    }
    folder = out or RUNS / ("sync" if whisper is None else "syncx")
    if dry_run:
        told = {name: asdict(stage) for name, stage in stages.items()}
        sources = {"speech": speech, "whisper": whisper, "resnext": resnext}
        print_json({"network": "sync", "data": data, "out": folder, "device": device, **sources, "stages": told})
        return
    _check_file(data / "manifest.csv", "--data", data)
    if speech is not None:
        _check_file(speech / "best.safetensors", "--speech", speech)
    if resnext is not None and whisper is None:
        raise OptionError("--resnext goes with --whisper: both are of syncx")
    if resnext is not None and not resnext.is_file():
        raise OptionError(f"--resnext {resnext}: no such file")
    if set_two is not None and not set_two.is_file():
        raise OptionError(f"--set2 {set_two}: no such file")
    recipe.main(
        data, folder, speech=None if speech is None else speech / "best.safetensors", whisper=whisper,
        resnext=resnext, recipe=stages, baseline=baseline, spoiled=spoiled, set_two=set_two, device=device,
    )  # fmt: skip
    typer.echo(str(folder))


@app.command("lipreader")
def lipreader(
    data: Data,
    out: Out = None,
    device: Device = "cpu",
    steps: Steps = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train the lip reader: mouth pictures to phones, on clips whose words are known (GRID's names, align/ID.align).

    A frozen loss of `train lips --lipreader`; with another --seed, its judge. The same command goes on.
    """
    check_installed()
    from kouxing.train import lipreader as recipe

    schedule = _changed(recipe.SCHEDULE, steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or RUNS / "lipreader"
    if dry_run:
        _show("lipreader", data, folder, device, schedule, {})
        return
    _check_file(data / "manifest.csv", "--data", data)
    recipe.main(data, folder, device=device, schedule=schedule)
    typer.echo(str(folder))


@app.command("judges")
def judges(
    data: Data,
    run: Annotated[
        list[Path], typer.Option("--run", metavar="DIR", help="Run folder of `kouxing train sync`; two or more.")
    ],
    out: Out = None,
) -> None:
    """Join several trained sync discriminators (other seeds) into one."""
    check_installed()
    from kouxing.train import sync as recipe

    _check_file(data / "manifest.csv", "--data", data)
    folder = out or RUNS / "judges"
    recipe.average(run, data, folder, report=typer.echo)
    typer.echo(str(folder))


@app.command("mouth")
def mouth(
    data: Data,
    out: Out = None,
    masking: Annotated[bool, typer.Option(help="Random-length masking.")] = True,
    attention: Annotated[bool, typer.Option(help="Attention over the last two seconds.")] = True,
    similarity: Annotated[bool, typer.Option(help="Comparison of each step with those before.")] = True,
    phones: Annotated[bool, typer.Option(help="Phone pre-training; needs kouxing[text].")] = True,
    expression: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder of `kouxing train expression`, to speak what has no face."),
    ] = None,
    speech: Annotated[Path, typer.Option(metavar="DIR", help="Run folder that --expression was trained with.")] = Path(
        "runs/speech"
    ),
    device: Device = "cpu",
    steps: Steps = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train `mouth`: speech to mouth coefficients, streaming. The --no- options leave a part out, as a comparison."""
    check_installed()
    from kouxing.models.mouth import MouthDimensions
    from kouxing.train import mouth as recipe

    schedule = _changed(recipe.PRESETS["mouth"], steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or RUNS / "mouth"
    if dry_run:
        parts = {"masking": masking, "attention": attention, "similarity": similarity, "phones": phones}
        sources = {"expression": expression, "speech": speech}
        _show("mouth", data, folder, device, schedule, {**parts, **sources})
        return
    _check_file(data / "manifest.csv", "--data", data)
    size = MouthDimensions(attends=attention, compares=similarity)
    more: dict[str, Any] = {"masking": masking, "phones": phones, "expression": expression, "speech": speech}
    recipe.main(data, folder, dimensions=size, **more, device=device, schedule=schedule)
    typer.echo(str(folder))


@app.command("expression")
def expression(
    data: Data,
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
    out: Out = None,
    closure: Annotated[bool, typer.Option(help="Closure loss, and drawing the lips together.")] = True,
    device: Device = "cpu",
    steps: Steps = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train `expression`: speech, emotion and style to all coefficients. The same command goes on where it stopped."""
    check_installed()
    from kouxing.train import expression as recipe

    schedule = _changed(recipe.PRESETS["expression"], steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or RUNS / "expression"
    if dry_run:
        heard = {"speech": speech} if encoder is None else {"encoder": encoder, "layer": layer}
        _show("expression", data, folder, device, schedule, {**heard, "closure": closure})
        return
    _check_file(data / "manifest.csv", "--data", data)
    if encoder is not None:
        from kouxing.train import pretrained

        ear: dict[str, Any] = {"encoder": encoder, "layer": layer, "download": download}
        pretrained.main(data, folder, **ear, closure=closure, device=device, schedule=schedule)
        typer.echo(str(folder))
        return
    _check_file(speech / "best.safetensors", "--speech", speech)
    recipe.main(data, folder, speech=speech, closure=closure, device=device, schedule=schedule)
    typer.echo(str(folder))


@app.command("multimodal")
def multimodal(
    data: Data,
    speech: Annotated[
        Path, typer.Option(metavar="DIR", help="Run folder of the speech encoder that ships (`train ears`).")
    ] = Path("runs/speech"),
    phones: Annotated[
        Path, typer.Option(metavar="DIR", help="Run folder of `train speech`: the aligner starts from its phone stage.")
    ] = Path("runs/speech-0"),
    expression: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Run folder of `train expression` on the same encoder; it speaks what has no face."
        ),
    ] = Path("runs/expression"),
    joins: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="modulation; concatenation or contrastive as a comparison (after the first run)."
        ),
    ] = "modulation",
    out: Out = None,
    device: Device = "cpu",
    steps: Steps = None,
    batch: Batch = None,
    precision: Precision = None,
    seed: Seed = None,
    dry_run: DryRun = False,
) -> None:
    """Train `multimodal`: text, speech and mouth pictures, any of them, to one mouth; and the aligner of texts.

    The same command goes on where it stopped.
    """
    check_installed()
    from kouxing.models.multimodal import JOINS
    from kouxing.train import multimodal as recipe

    if joins not in JOINS:
        raise OptionError(f"--joins {joins}: choose one of {', '.join(JOINS)}")
    schedule = _changed(recipe.PRESETS["multimodal"], steps=steps, batch=batch, precision=precision, seed=seed)
    folder = out or RUNS / ("multimodal" if joins == "modulation" else f"multimodal-{joins}")
    if dry_run:
        more = {"speech": speech, "phones": phones, "expression": expression, "joins": joins}
        _show("multimodal", data, folder, device, schedule, more)
        return
    _check_file(data / "manifest.csv", "--data", data)
    _check_file(speech / "best.safetensors", "--speech", speech)
    _check_file(phones / "phones" / "best.safetensors", "--phones", phones)
    _check_file(expression / "best.safetensors", "--expression", expression)
    recipe.main(
        data, folder, speech=speech, phone_stage=phones, expression=expression, joins=joins, device=device,
        schedule=schedule,
    )  # fmt: skip
    typer.echo(str(folder))


def check_installed() -> None:
    """Refuse, in one line, what PyTorch is missing for.

    Raises:
        OptionError: a package of kouxing[train] is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise OptionError(f"training needs {', '.join(missing)}: install it with pip install 'kouxing[train]'")


def _check_file(path: Path, option: str, folder: Path) -> None:
    if not path.is_file():
        raise OptionError(f"{option} {folder}: has no {path.name}; give the folder that holds it")


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


def _changed(schedule: Any, **changes: Any) -> Any:
    """The schedule with what the user set, which is what is not None."""
    return replace(schedule, **{name: value for name, value in changes.items() if value is not None})


def _show(network: str, data: Path, out: Path, device: str, schedule: Any, more: dict[str, Any]) -> None:
    """The settings of a run that is not started."""
    print_json({"network": network, "data": data, "out": out, "device": device, **more, "schedule": asdict(schedule)})
