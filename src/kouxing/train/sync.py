"""Train the sync discriminator in three stages, with a filter between the first two (methods.md section 3)."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kouxing.data.mouths import Mouths, load_mouths
from kouxing.data.sync_filter import read_verdicts
from kouxing.data.sync_windows import WindowRules
from kouxing.data.whisper import RATE, WhisperEar, with_states
from kouxing.errors import DataError
from kouxing.eval.sync_calibration import Embedded, calibration_error, fit, samples
from kouxing.face.offset import Calibration
from kouxing.media.aside import make_folder
from kouxing.models import syncx
from kouxing.models.sync import Discriminator, Judges, Pupil, SyncDimensions
from kouxing.train import sync_plots
from kouxing.train.card import Source, about, changed, inherited
from kouxing.train.export_sync import export_sync
from kouxing.train.loop import BEST, Schedule, best_figures, read_tensors, write_aside
from kouxing.train.origin import origin
from kouxing.train.sync_filter import (
    SET_TWO,
    SPOILED,
    STEEPNESS,
    Crew,
    check_decided,
    filtered,
    find_spoiled,
    take_over,
    train_crew,
)
from kouxing.train.sync_stage import Stage, run_stage
from kouxing.train.sync_task import Growth, embed, history, measured
from kouxing.units import CROP_PX

GEOMETRY = 16
"""Numbers of mouth geometry (``face.geometry``) that the helping heads tell."""
STAGES = ("one", "two", "three")
UNITS = {
    "pictures": f"[1, T, 48, 64] uint8 grey mouth pictures (face.mouth_picture) of {CROP_PX} px crops, 25 Hz",
    "mel": "[1, 4T, 80] log power, 100 Hz",
    "vectors": "[1, T - 2 * reach, D] unit vectors, 25 Hz; cosine = similarity",
}


_SCHEDULE = Schedule(
    steps=600, batch=16, rate=1e-3, warmup=50, validate_every=100, decay=0.05, ema=0.99, precision="bf16-mixed"
)
GOAL = 0.4
RECIPE: dict[str, Stage] = {
    "one": Stage(_SCHEDULE, filtered=False),
    "two": Stage(replace(_SCHEDULE, steps=1000), growth=Growth(0.05, 0.05, GOAL)),
    "three": Stage(
        # Gently, and no false pairs nearer than stage 2's: both cost more than they brought (docs/log.md).
        replace(_SCHEDULE, steps=500, rate=3e-4),
        rules=WindowRules(hard=0.5),
        growth=Growth(None, 0.0, GOAL),
    ),
}

FILTER_REACH = 2
"""Frames that the filter's discriminators hear on each side: of a word of 1.2 s that was moved a wider window leaves
too little (moved clips put in step .64 in place of .81, docs/log.md)."""


def one_stage(recipe: Mapping[str, Stage]) -> Stage:
    """The baseline: as many steps in one go, on set 1, the margin fixed."""
    steps = sum(stage.schedule.steps for stage in recipe.values())
    goal = recipe["two"].growth.goal
    return Stage(replace(recipe["one"].schedule, steps=steps), growth=Growth(goal, 0.0, goal), filtered=False)


def filtering(stage: Stage) -> Stage:
    """Stage 1 as the filter's discriminators are trained, which hear less around."""
    return replace(stage, rules=replace(stage.rules, rows=24, speech_reach=FILTER_REACH))


def fresh(seed: int = 0, speech: Path | None = None, dimensions: SyncDimensions | None = None) -> Pupil:
    """An untrained discriminator with its helping heads.

    Args:
        seed: source of chance.
        speech: weights of a ``Listener`` or ``SpeechEncoder`` (``kouxing train speech``), whose first convolutions are
            taken over.
        dimensions: sizes.

    Raises:
        DataError: ``speech`` holds no such convolutions.
    """
    torch.manual_seed(seed)
    pupil = Pupil(Discriminator(dimensions or SyncDimensions()), GEOMETRY)
    if speech is not None:
        given = {name.removeprefix("encoder."): value for name, value in read_tensors(speech).items()}
        own = pupil.judge.speech.state_dict()
        fitting = {n: v for n, v in given.items() if n in own and own[n].shape == v.shape and not n.startswith("last")}
        if not any(name.startswith("first.") for name in fitting):
            raise DataError(f"{speech}: holds no speech encoder; give best.safetensors of `kouxing train speech`")
        pupil.judge.speech.load_state_dict(own | fitting)
    return pupil


def main(
    data: Path,
    out: Path,
    *,
    speech: Path | None = None,
    phones: Path | None = None,
    whisper: Path | None = None,
    resnext: Path | None = None,
    recipe: Mapping[str, Stage] | None = None,
    baseline: bool = False,
    spoiled: bool = False,
    set_two: Path | None = None,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> Discriminator:
    """Train on ``data``'s train split; the same command resumes.

    ``out/one``, ``out/two`` and ``out/three`` hold discriminators 1, 2 and 3; ``out/filter`` those of stage 1 that
    judge clips which they have not seen, ``out/set2.csv`` what they decided; ``out`` itself the weights as ONNX with
    their cards (``KOUXING_WEIGHTS=out`` uses them).

    Args:
        data: data folder.
        out: run folder.
        speech: see ``fresh``.
        phones: the same for the discriminators of the filter: from a speech encoder that learned phones alone. One that
            learned to hear mouths knows what belongs to the sound of every clip, seen or not.
        whisper: folder of a Whisper model: trains ``syncx`` instead, on its frozen encoder's states. ``syncx`` stays in
            PyTorch: no ONNX is written.
        resnext: safetensors of torchvision's ``resnext50_32x4d`` that its mouth encoder starts from.
        recipe: instead of ``RECIPE``.
        baseline: also train the same network in one stage (``out/onestage``).
        spoiled: also train the filter on clips of which a fifth is spoiled, and tell what it finds
            (``out/spoiled``, ``out/spoiled.json``).
        set_two: what another run's filter decided (its ``set2.csv``), instead of a filter of its own.
        device: see ``train.loop.train``.
        report: where progress lines go.

    Returns:
        Discriminator 3.

    Raises:
        DataError: ``set_two`` is no such file, of other data, or not what the run began with.
    """
    recipe = recipe or RECIPE
    verdicts = None if set_two is None else read_verdicts(set_two)
    mouths, held_out = load_mouths(data, "train"), load_mouths(data, "val")
    if set_two is not None and verdicts is not None:
        check_decided(set_two, verdicts, mouths, out)
    make_folder(out)
    seed, states = recipe["one"].schedule.seed, 0
    of = origin(data, speech=speech, phones=phones, resnext=resnext, set2=set_two)
    command = _command(recipe, out, speech, set_two)
    if whisper is not None:
        ear = WhisperEar(whisper)
        of["whisper"] = ear.digest
        report(f"syncx: Whisper's states of {len(mouths) + len(held_out)} clips")
        mouths, held_out = with_states(data, mouths, ear), with_states(data, held_out, ear)
        states = ear.states

    def beginner(seed: int) -> Pupil:
        return fresh_x(states, seed, resnext) if states else fresh(seed, speech)

    def one_of_filter(seed: int) -> Pupil:
        return beginner(seed) if states else fresh(seed, phones, SyncDimensions(speech_reach=FILTER_REACH))

    judging = recipe["one"] if states else filtering(recipe["one"])
    more: dict[str, Any] = {"of": of, "device": device, "report": report}

    def crew() -> Crew:
        return train_crew(judging, one_of_filter, mouths, held_out, out / "filter", **more)

    pupil = beginner(seed)
    pupil = run_stage("one", recipe["one"], pupil, mouths, held_out, out / "one", {}, **more)
    parents = inherited(speech)
    export_stage(pupil, data, out / "one", command, parents)
    if set_two is not None:
        take_over(set_two, out)
    kept, late = filtered(crew, mouths, held_out, out, report)
    for name in ("two", "three"):
        pupil = run_stage(name, recipe[name], pupil, kept, held_out, out / name, late, **more)
        export_stage(pupil, data, out / name, command, parents)
        pupil.margin.fill_(history(out / name)[-1]["margin"])
    sync_plots.margins({name: history(out / name) for name in STAGES}, out / "margin.png")
    judge = pupil.judge
    finish(judge, held_out, data, out, best_figures(out / "three"), command, report, parents)
    if spoiled:
        honest = read_verdicts(out / SET_TWO)
        find_spoiled(judging, one_of_filter, mouths, held_out, out, honest, **more)
    if baseline:
        stage, pupil = one_stage(recipe), beginner(seed)
        pupil = run_stage("onestage", stage, pupil, mouths, held_out, out / "onestage", {}, **more)
        export_stage(pupil, data, out / "onestage", f"{command} --baseline", parents)
    return judge


def _command(recipe: Mapping[str, Stage], out: Path, speech: Path | None, set_two: Path | None) -> str:
    """What a card gives as the recipe."""
    told = [option for name in STAGES for option in changed(recipe[name].schedule, RECIPE[name].schedule)]
    words = ["kouxing train sync --data DATA"]
    words += [f"--speech runs/{speech.resolve().parent.name}"] if speech is not None else []
    words += ["--set2 SET2"] if set_two is not None else []
    return " ".join([*words, *dict.fromkeys(told), f"--out runs/{out.name}"])


def fresh_x(states: int, seed: int = 0, resnext: Path | None = None) -> Pupil:
    """An untrained ``syncx``; see ``main``.

    Raises:
        DataError: ``resnext`` does not fit.
    """
    torch.manual_seed(seed)
    body = syncx.ResNeXt()
    if resnext is not None:
        try:
            syncx.take_over(body, read_tensors(resnext))
        except RuntimeError as error:
            raise DataError(f"{resnext}: is not torchvision's resnext50_32x4d as safetensors") from error
    return Pupil(syncx.build(states, RATE, body), GEOMETRY)


def export_stage(pupil: Pupil, data: Path, folder: Path, recipe: str, parents: Sequence[Source] = ()) -> None:
    """A stage's discriminator as ONNX beside its checkpoint, so that stages can be compared as they would be used."""
    if isinstance(pupil.judge.speech, syncx.StateSpeech):
        return
    figures = {name.removeprefix("val/"): v for name, v in best_figures(folder).items() if name != "step"}
    export_sync(copy.deepcopy(pupil.judge), None, about(data, recipe, UNITS, figures, parents), folder)


def calibrate(model: Discriminator | Judges, held_out: Sequence[Mouths]) -> tuple[Calibration, float]:
    """Calibration fitted to held-out clips, and its error on the very same ones."""
    plain = Calibration(STEEPNESS)
    rows, right = samples([embedded(model, one) for one in held_out], plain)
    fitted = fit(rows, right, STEEPNESS)
    inputs = torch.from_numpy(rows).double() @ torch.tensor(fitted.weights[:-1]).double() + fitted.weights[-1]
    return fitted, calibration_error(torch.sigmoid(inputs).numpy(), right)


def embedded(model: Discriminator | Judges, clip: Mouths) -> Embedded:
    """A clip's vectors, with what the measures need to know of it."""
    mouth, speech = embed(model, clip)
    return Embedded(clip.clip.id, clip.clip.group, mouth, speech, ~clip.silent, model.dimensions.mouth_reach)


def finish(
    model: Discriminator | Judges,
    held_out: Sequence[Mouths],
    data: Path,
    out: Path,
    figures: Mapping[str, float],
    recipe: str,
    report: Callable[[str], None] = print,
    parents: Sequence[Source] = (),
) -> Calibration:
    """Calibrate, keep the weights in ``out``, and export them with their card; ``parents``: ``card.inherited``."""
    calibration, error = calibrate(model, held_out)
    told = {name.removeprefix("val/"): value for name, value in figures.items() if name != "step"}
    write_aside(out / BEST, model.state_dict(), {name: repr(value) for name, value in told.items()})
    if isinstance(model.speech, syncx.StateSpeech):
        report(f"syncx kept in {out / BEST}; calibration error {error:.3f}")
        return calibration
    card = about(data, recipe, UNITS, told | {"calibration_error": error}, parents)
    difference = export_sync(model, calibration, card, out)
    report(f"exported to {out}; ONNX differs by {difference:.1e}; calibration error {error:.3f}")
    return calibration


def load(run: Path, stage: str | None = None) -> Discriminator | Judges:
    """Discriminator 3 of a run folder, or that of ``stage`` (``one``, ``two``, ``three``, ``onestage``), ready to use.

    Raises:
        DataError: the folder holds none, or another network.
    """
    path = run / stage / BEST if stage else run / BEST
    if not path.exists():
        raise DataError(f"{path}: no trained discriminator; run `kouxing train sync --out {run}` first")
    given = read_tensors(path)
    if stage:
        given = _within(given, "judge.")
    try:
        return _filled(given).eval()
    except (RuntimeError, ValueError, KeyError) as error:
        raise DataError(f"{path}: holds no sync discriminator; give a run folder of `kouxing train sync`") from error


def _filled(given: Mapping[str, Tensor]) -> Discriminator | Judges:
    members = {name.split(".")[1] for name in given if name.startswith("members.")}
    if members:
        return Judges([_single(_within(given, f"members.{place}.")) for place in range(len(members))])
    return _single(given)


def _single(given: Mapping[str, Tensor]) -> Discriminator:
    if "mouth.body.conv1.weight" in given:
        model = syncx.build(len(given["speech.norm.weight"]), RATE)
    else:
        model = Discriminator(_size(given))
    model.load_state_dict(given)
    return model


def _within(given: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}


def _size(given: Mapping[str, Tensor]) -> SyncDimensions:
    """Sizes of a discriminator by its weights: runs of older programs heard less around."""
    middle = {name.split(".")[2] for name in given if name.startswith("speech.middle.")}
    return SyncDimensions(speech_reach=1 + len(middle))


def average(runs: Sequence[Path], data: Path, out: Path, report: Callable[[str], None] = print) -> Judges:
    """Join the discriminators of several runs (other seeds) into one, exported with its card into ``out``.

    What ``evaluate sync`` holds it against comes along from the first run: its stages, and what its filter was worth.

    Args:
        runs: run folders of ``main``, two or more.
        data: data folder whose ``val`` split calibrates and is measured for the card.
        out: the folder to write.
        report: where progress lines go.

    Returns:
        The joined model.

    Raises:
        DataError: fewer than two, or a folder that holds no single one.
    """
    members = [load(run) for run in runs]
    single = [member for member in members if isinstance(member, Discriminator)]
    if len({one.dimensions for one in single}) > 1:
        raise DataError(
            f"{', '.join(map(str, runs))}: their discriminators differ in size; train those of older programs anew"
        )
    if len(single) < 2 or len(single) != len(members):
        raise DataError(f"{', '.join(map(str, runs))}: give two or more run folders of `kouxing train sync`")
    held_out = load_mouths(data, "val")
    model = Judges(single).eval()
    make_folder(out)
    figures = measured(model, held_out)
    command = f"kouxing train judges {' '.join(f'--run RUN{n + 1}' for n in range(len(runs)))} --data DATA"
    finish(model, held_out, data, out, figures, command, report, inherited(*runs))
    for path in sorted([runs[0] / SPOILED, *runs[0].glob("*/sync_*.onnx"), *runs[0].glob("*/sync_*.json")]):
        if path.exists():
            place = out / path.relative_to(runs[0])
            make_folder(place.parent)
            shutil.copyfile(path, place)
    return model
