"""Train the generator, after what it learns from: the shape reader, and what is heard in the clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kouxing.audio.painter_ear import NAMES as EARS
from kouxing.audio.painter_ear import PainterEar
from kouxing.data.footage import Footage, load_footage
from kouxing.data.front import FrontSounds
from kouxing.data.grid import Word, transcripts
from kouxing.data.lips import REST_SHARE, LipsSamples
from kouxing.errors import DataError
from kouxing.eval.lipreading import load as load_reader
from kouxing.face.geometry import GEOMETRY
from kouxing.infer.discriminator import MOUTH
from kouxing.losses import image
from kouxing.models.lips import PRESETS as SIZES
from kouxing.models.lips import Lips, LipsDimensions
from kouxing.models.sync import Discriminator, Judges
from kouxing.train import restore, restore_judge, shape
from kouxing.train.card import Source, about, changed, inherited, learned_from
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
from kouxing.train.loop import BEST, Schedule, best_figures, counting, read_tensors, train
from kouxing.train.origin import origin, tell_ears
from kouxing.train.sync import load as load_judge
from kouxing.train.teacher import Teacher
from kouxing.types import Float
from kouxing.weights import SHIPPED, card, home

PRESETS = {
    "fast": Schedule(
        steps=3000, batch=12, rate=8e-4, warmup=150, validate_every=300, precision="bf16-mixed", ema=0.998
    ),
    "fine": Schedule(
        steps=1500, batch=12, rate=6e-4, warmup=150, validate_every=300, precision="bf16-mixed", ema=0.998
    ),
}
VALIDATION_CLIPS = 24
TOKENS, DRIVE = "fusion.adapter.0.weight", "fusion.drive.0.weight"
"""Layers that take the features; no other network has them."""

UNITS = {
    "crop": "[1, 128, 256, 3] uint8 RGB, upper half of the upright face crop",
    "audio": "[1, 11, 31] around the frame, 25 Hz: 16 numbers of mouth geometry, times the mouth-opening "
    "coefficient; then how likely each mouth class but rest is said (text.phones.MOUTHS), 0..6, 0 where unknown",
    "own": "[1, 3, 31] the same of the references, ordered from closed to open; what is said in them is not known",
    "stances": "[1, 4, 14] where the head's steady points lie in the crops of frame and references (face.stance)",
    "left": "[1] int64, a multiple of 4: the first column that is painted (face.patch)",
    "lower": "[1, 128, 208, 3] uint8 RGB, the painted part of the lower half",
}
"""Of what goes into both stages and comes out of them."""


def main(
    data: Path,
    out: Path,
    *,
    preset: str = "fast",
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

    It hears as dubs do, with the weights that are in use (``KOUXING_WEIGHTS`` or the shipped ones).

    Args:
        data: data folder.
        out: run folder; at the end it also holds the weights as ONNX with their cards; the same command resumes.
        preset: ``fast`` or ``fine``.
        start: best weights of a run, or its folder: every tensor is taken over whose name and shape agree; or a folder
            with this preset's ONNX files alone, e.g. the shipped ones.
        vgg19: safetensors of VGG-19 for the perceptual loss; else the shape reader's features serve.
        judge: run folder of ``train sync``, or any with its ONNX files; its discriminator, frozen, is a further loss.
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
        DataError: ``start``, ``vgg19``, ``judge`` or ``lipreader`` holds another network, or none.
        WeightError: there is no ear, or ``start``, ``judge`` or ``teacher`` hold no ONNX files of such a network.
        OptionError: ``weights`` names an unknown term, or a weight below 0.
    """
    schedule = schedule or PRESETS[preset]
    table = loss_table(weights or {})
    # What does not fit is told before the minutes of hearing.
    ear = PainterEar(threads=1)
    tell_ears(EARS, report)
    begun = None if start is None else _begun(start, preset)
    features = None if vgg19 is None else _vgg(vgg19)
    frozen_judge = None if judge is None else _judge(judge).requires_grad_(False)
    frozen_reader = None if lipreader is None else load_reader(lipreader).requires_grad_(False)
    taught_by = None if teacher is None else Teacher(teacher, preset)
    run = READ_RUN if lipreader is not None else RUN if judge is None else JUDGED_RUN
    words = None if lipreader is None else transcripts(data)
    footage, held_out = load_footage(data, "train", counting(report, "clips made ready")), load_footage(data, "val")
    report(f"the shape reader, by which painted mouths are read, is trained once for all runs: {out.parent / 'shape'}")
    reader = shape.main(footage, held_out, out.parent / "shape", of=origin(data), device=device, report=report)
    reader = reader.eval().requires_grad_(False)
    heard = _heard(data, footage, ear, report)

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
            width=SIZES[preset].features,
        )

    chosen = sorted(held_out, key=lambda clip: (clip.clip.group == "words", clip.clip.part == "grid", clip.clip.id))
    chosen = [
        *chosen[:7],
        *[c for c in chosen if c.clip.part == "grid"][:6],
        *[c for c in chosen if c.clip.group == "words"],
    ]
    chosen = chosen[:VALIDATION_CLIPS]
    # Tracked geometry: the generator is judged here, not the ear.
    said = [heard[:, GEOMETRY:] for heard in _heard(data, chosen, ear, report)]
    pairs = [(clip, np.concatenate([clip.geometry, row], 1)) for clip, row in zip(chosen, said, strict=True)]
    model = Lips(SIZES[preset])
    if begun is not None:
        report(f"{_take_over(model, begun)} tensors taken over from {start}")
    # A teacher knows what a face looks like that says another's words.
    own_batches = batches(RUN, unpaired=0.0 if taught_by is None else UNPAIRED_SHARE)
    task = LipsTask(
        model, own_batches, reader, pairs, features, frozen_judge, table, frozen_reader, gan_from,
        None if run == RUN else batches(run, words, UNPAIRED_SHARE), taught_by,
    )  # fmt: skip
    config = {
        "model": "lips", "preset": preset, "dimensions": asdict(SIZES[preset]), "weights": table, "run": run,
        "gan_from": gan_from,
        "heard": ear.digest,
        "origin": origin(
            data, start=_file(start, f"lips_{preset}_frame"), judge=_file(judge, MOUTH), lipreader=lipreader,
            vgg19=vgg19, teacher=None if teacher is None else teacher / f"lips_{preset}_frame.onnx",
        ),
    }  # fmt: skip
    listened = [source for name in EARS for source in card(name)["data"]]
    begun_with = [*_sources(start, f"lips_{preset}_frame"), *_sources(judge, MOUTH)]
    parents = [*listened, *begun_with, *inherited(lipreader, teacher)]
    best = cast(Lips, train(task, schedule, out, device, config, report, sources=learned_from(data, parents)))
    told = [f"--start {_named(start)}"] if start is not None else []
    told += [f"--vgg19 {vgg19.name}"] if vgg19 is not None else []
    told += [f"--judge {_named(judge)}"] if judge is not None else []
    told += [f"--lipreader {_named(lipreader)}"] if lipreader is not None else []
    told += [f"--teacher {_named(teacher)}"] if teacher is not None else []
    told += [f"--weight {name}={value:g}" for name, value in table.items() if value != WEIGHTS[name]]
    told += [f"--gan-from {gan_from:g}"] if table["gan"] else []
    told += changed(schedule, PRESETS[preset], "rate")
    save(best, preset, data, out, told, parents)
    return best


def _heard(data: Path, footage: Sequence[Footage], ear: PainterEar, report: Callable[[str], None]) -> list[Float]:
    """What dubs hear in each clip, ``[T, D]``, silence not calmed: mouths really open in pauses."""
    sounds, told = FrontSounds(data, ear.front), counting(report, "clips heard")
    made = []
    for done, clip in enumerate(footage, 1):
        made.append(ear.hear_rows(sounds.rows(clip.clip.id, len(clip)), clip.mel))
        told(done, len(footage))
    return made


def _judge(folder: Path) -> Discriminator | Judges:
    return load_judge(folder) if (folder / BEST).is_file() else restore_judge.judge(folder)


def _begun(start: Path, preset: str) -> Mapping[str, Tensor]:
    best = start if start.is_file() else start / BEST
    if not best.is_file():
        return restore.lips(preset, start)[0].state_dict()
    given = read_tensors(best)
    if not given.keys() >= {TOKENS, DRIVE}:
        raise DataError(f"{best}: holds another network than lips; give a run folder of `kouxing train lips`")
    return given


def _file(place: Path | None, name: str) -> Path | None:
    """By which a network is told from others: a run's best weights, or those named ``name`` of a folder."""
    if place is None or place.is_file() or (place / BEST).is_file():
        return place
    return place / f"{name}.onnx"


def _sources(place: Path | None, name: str) -> list[Source]:
    """What a network was trained on that is told as ``_file`` does."""
    if place is None or place.is_file() or (place / BEST).is_file():
        return inherited(place)
    return list(card(name, place)["data"])


def _named(path: Path) -> str:
    """A run's folder, or a file in one, as recipes name it: not where it lies on this machine."""
    if path.resolve() == SHIPPED.resolve():
        return "SHIPPED"
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
    figures = {name.removeprefix("val/"): value for name, value in best_figures(out).items()}
    ears = list(dict.fromkeys(_named(home(name)) for name in EARS))
    words = [] if ears == ["SHIPPED"] else [f"KOUXING_WEIGHTS={':'.join(ears)}"]
    words += ["kouxing train lips --preset", preset, "--data DATA", *options, "--out", _named(out)]
    recipe = " ".join(words)
    export_lips(model, preset, about(data, recipe, UNITS, figures, parents), out)


def _take_over(model: Lips, given: Mapping[str, Tensor]) -> int:
    own = model.state_dict()
    given = with_phones(given, model.dimensions)
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(own | fitting)
    return len(fitting)


def with_phones(given: Mapping[str, Tensor], size: LipsDimensions) -> Mapping[str, Tensor]:
    """Numbers of a network that took fewer features, for one that begins by not looking at the further ones."""
    known = given[TOKENS].shape[1]
    if known >= size.features:
        return given
    rows = size.window + size.references
    heard, stances = given[DRIVE][:, : rows * known], given[DRIVE][:, rows * known :]
    more = (0, size.features - known)
    heard = F.pad(heard.reshape(len(heard), rows, known), more).flatten(1)
    return {**given, TOKENS: F.pad(given[TOKENS], more), DRIVE: torch.cat([heard, stances], 1)}


def _vgg(path: Path) -> image.Vgg19:
    network = image.Vgg19()
    given = read_tensors(path)
    try:
        network.load_state_dict({name: given[name] for name in network.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise DataError(f"{path}: is not torchvision's VGG-19 as safetensors") from error
    return network.eval()
