"""Train the generator, after what it learns from: the shape reader and the speech encoder's predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from safetensors.torch import load_file

from kouxing.audio.encoder import NAME as SPEECH
from kouxing.audio.encoder import SpeechEncoder
from kouxing.data.footage import load_footage
from kouxing.data.grid import Word, transcripts
from kouxing.data.lips import REST_SHARE, LipsSamples
from kouxing.eval.lipreading import load as load_reader
from kouxing.losses import image
from kouxing.models.lips import PRESETS as SIZES
from kouxing.models.lips import Lips
from kouxing.train import shape
from kouxing.train.card import Source, about, changed, inherited
from kouxing.train.export import export_lips
from kouxing.train.lips_task import (
    GAN_FROM,
    JUDGED_RUN,
    READ_RUN,
    RUN,
    UNPAIRED_SHARE,
    WEIGHTS,
    LipsTask,
    loss_table,
)
from kouxing.train.loop import Schedule, best_figures, counting, train
from kouxing.train.origin import origin
from kouxing.train.sync import load as load_judge
from kouxing.train.teacher import Teacher

PRESETS = {
    "fast": Schedule(
        steps=3000, batch=12, rate=8e-4, warmup=150, validate_every=300, precision="bf16-mixed", ema=0.998
    ),
    "fine": Schedule(
        steps=1500, batch=12, rate=6e-4, warmup=150, validate_every=300, precision="bf16-mixed", ema=0.998
    ),
}
VALIDATION_CLIPS = 24


def main(
    data: Path,
    out: Path,
    *,
    preset: str = "fast",
    speech: Path,
    start: Path | None = None,
    vgg19: Path | None = None,
    judge: Path | None = None,
    lipreader: Path | None = None,
    teacher: Path | None = None,
    weights: Mapping[str, float] | None = None,
    gan_from: float = GAN_FROM,
    device: str = "cpu",
    schedule: Schedule | None = None,
    report: Callable[[str], None] = print,
) -> Lips:
    """Train ``lips`` on ``data``'s train split.

    Args:
        data: data folder.
        out: run folder; at the end it also holds the weights as ONNX with their cards; the same command resumes.
        preset: ``fast`` or ``fine``.
        speech: folder with the ONNX file of ``train speech``: its run, or the shipped weights.
        start: best weights of another preset; every tensor whose name and shape agree is taken over.
        vgg19: safetensors of VGG-19 for the perceptual loss; else the shape reader's features serve.
        judge: run folder of ``train sync``; its discriminator, frozen, is a further loss.
        lipreader: run folder of ``train lipreader``; its reader, frozen, is a further loss where words are known.
        teacher: folder with the ONNX files of the same preset, e.g. an earlier run's: what they paint is a further
            loss, also where the speech is another clip's and nobody knows what the face would really look like.
        weights: rows of the loss table ``WEIGHTS`` that shall be others; 0 switches a term off.
        gan_from: share of the steps after which critics come in, where ``gan`` has a weight.
        device: see ``train.loop.train``.
        schedule: instead of the preset's.
        report: where progress lines go.

    Returns:
        The best averaged model.

    Raises:
        DataError: ``judge`` or ``lipreader`` holds no trained network.
        WeightError: ``speech`` holds no speech encoder, or ``teacher`` not the preset.
        OptionError: ``weights`` names an unknown term, or a weight below 0.
    """
    schedule = schedule or PRESETS[preset]
    table = loss_table(weights or {})
    encoder = SpeechEncoder(folder=speech)
    taught_by = None if teacher is None else Teacher(teacher, preset)
    run = READ_RUN if lipreader is not None else RUN if judge is None else JUDGED_RUN
    words = None if lipreader is None else transcripts(data)
    footage, held_out = load_footage(data, "train", counting(report, "clips made ready")), load_footage(data, "val")
    report(f"the shape reader, by which painted mouths are read, is trained once for all runs: {out.parent / 'shape'}")
    reader = shape.main(footage, held_out, out.parent / "shape", of=origin(data), device=device, report=report)
    reader = reader.eval().requires_grad_(False)
    report("speech features of all clips")
    heard = [encoder.hear(clip.mel) for clip in footage]

    def batches(run: int, words: Mapping[str, Sequence[Word]] | None = None, unpaired: float = 0.0) -> LipsSamples:
        return LipsSamples(
            footage,
            heard,
            clips=max(1, schedule.batch // run),
            run=run,
            window=SIZES[preset].window,
            spacing=SIZES[preset].spacing,
            seed=schedule.seed,
            words=words,
            unpaired=unpaired,
            resting=REST_SHARE,
        )

    chosen = sorted(held_out, key=lambda clip: (clip.clip.group == "words", clip.clip.part == "grid", clip.clip.id))
    chosen = [
        *chosen[:7],
        *[c for c in chosen if c.clip.part == "grid"][:6],
        *[c for c in chosen if c.clip.group == "words"],
    ]
    # Tracked features: the generator is judged here, not the ear.
    pairs = [(clip, clip.geometry) for clip in chosen[:VALIDATION_CLIPS]]
    model = Lips(SIZES[preset])
    if start is not None:
        report(f"{_take_over(model, start)} tensors taken over from {start}")
    frozen_judge = None if judge is None else load_judge(judge).requires_grad_(False)
    # A teacher knows what a face looks like that says another's words.
    own_batches = batches(RUN, unpaired=0.0 if taught_by is None else UNPAIRED_SHARE)
    task = LipsTask(
        model, own_batches, reader, pairs, _vgg(vgg19) if vgg19 else None, frozen_judge, table,
        None if lipreader is None else load_reader(lipreader).requires_grad_(False), gan_from,
        None if run == RUN else batches(run, words, UNPAIRED_SHARE), taught_by,
    )  # fmt: skip
    config = {
        "model": "lips", "preset": preset, "dimensions": asdict(SIZES[preset]), "weights": table, "run": run,
        "gan_from": gan_from,
        "origin": origin(
            data, speech=speech / f"{SPEECH}.onnx", start=start, judge=judge, lipreader=lipreader, vgg19=vgg19,
            teacher=None if teacher is None else teacher / f"lips_{preset}_frame.onnx",
        ),
    }  # fmt: skip
    best = cast(Lips, train(task, schedule, out, device, config, report))
    told = [f"--start {_named(start)}"] if start is not None else []
    told += [f"--vgg19 {vgg19.name}"] if vgg19 is not None else []
    told += [f"--judge {_named(judge)}"] if judge is not None else []
    told += [f"--lipreader {_named(lipreader)}"] if lipreader is not None else []
    told += [f"--teacher {_named(teacher)}"] if teacher is not None else []
    told += [f"--weight {name}={value:g}" for name, value in table.items() if value != WEIGHTS[name]]
    told += [f"--gan-from {gan_from:g}"] if table["gan"] else []
    told += changed(schedule, PRESETS[preset], "rate")
    save(best, preset, data, out, told, inherited(speech, start, judge, lipreader, teacher))
    return best


def _named(path: Path) -> str:
    """A run's folder, or a file in one, as recipes name it: not where it lies on this machine."""
    parts = path.resolve().parts
    return "runs/" + "/".join(parts[-2:] if path.suffix == ".safetensors" else parts[-1:])


def save(
    model: Lips, preset: str, data: Path, out: Path, options: Sequence[str] = (), parents: Sequence[Source] = ()
) -> None:
    """Export the model of run folder ``out`` into it, with its cards.

    Args:
        model, preset, data, out: what was trained, on what, where.
        options: further ones of the recipe.
        parents: ``card.inherited``.
    """
    units = {
        "crop": "[1, 128, 256, 3] uint8 RGB, upper half of the upright face crop",
        "audio": "[1, 11, 16] mouth geometry around the frame, 25 Hz, times the mouth-opening coefficient",
        "own": "[1, 3, 16] mouth geometry of the references, ordered from closed to open",
        "stances": "[1, 4, 14] where the head's steady points lie in the crops of frame and references (face.stance)",
        "lower": "[1, 128, 256, 3] uint8 RGB, the painted lower half",
    }
    figures = {name.removeprefix("val/"): value for name, value in best_figures(out).items()}
    words = ["kouxing train lips --preset", preset, "--data DATA --speech runs/speech", *options, "--out", _named(out)]
    recipe = " ".join(words)
    export_lips(model, preset, about(data, recipe, units, figures, parents), out)


def _take_over(model: Lips, path: Path) -> int:
    own, given = model.state_dict(), load_file(path)
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(own | fitting)
    return len(fitting)


def _vgg(path: Path) -> image.Vgg19:
    network = image.Vgg19()
    given = load_file(path)
    network.load_state_dict({name: given[name] for name in network.state_dict()})
    return network.eval()
