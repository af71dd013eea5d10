"""Train the sync discriminator in three stages, with a filter between the first two (methods.md section 3)."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from kouxing.data.mouths import Mouths, load_mouths
from kouxing.data.spoiled import Spoil, spoil
from kouxing.data.sync_filter import Limits, Verdict, judge_clip, read_verdicts, write_verdicts
from kouxing.data.sync_windows import SyncWindows, WindowRules
from kouxing.data.whisper import RATE, WhisperEar, with_states
from kouxing.errors import DataError
from kouxing.eval.sync_calibration import Embedded, calibration_error, fit, samples
from kouxing.face.offset import Calibration, similarities
from kouxing.losses.sync import Falses
from kouxing.models import syncx
from kouxing.models.sync import Discriminator, Judges, Pupil, SyncDimensions
from kouxing.train import sync_plots
from kouxing.train.card import about
from kouxing.train.export_sync import export_sync
from kouxing.train.loop import BEST, Schedule, best_figures, train, write_aside
from kouxing.train.sync_task import WEIGHTS, Growth, SyncTask, embed, history, measured
from kouxing.units import CROP_PX

GEOMETRY = 16
"""Numbers of mouth geometry (``face.geometry``) that the helping heads tell."""
STEEPNESS = 8.0
"""Logits per unit of cosine by which lags are weighed (docs/log.md)."""
SET_TWO, SPOILED = "set2.csv", "spoiled.json"
STAGES = ("one", "two", "three")
RECIPE_COMMAND = "kouxing train sync --data DATA --speech SPEECH --out runs/sync"
UNITS = {
    "pictures": f"[1, T, 48, 64] uint8 grey mouth pictures (face.mouth_picture) of {CROP_PX} px crops, 25 Hz",
    "mel": "[1, 4T, 80] log power, 100 Hz",
    "vectors": "[1, T - 2 * reach, D] unit vectors, 25 Hz; cosine = similarity",
}


@dataclass(frozen=True)
class Stage:
    """One row of the recipe; the rows differ where the stages do.

    Attributes:
        schedule: cadence.
        rules: how windows are drawn.
        falses: which pairs count as false.
        growth: how the margin grows.
        filtered: trains on set 2.
    """

    schedule: Schedule
    rules: WindowRules = field(default_factory=WindowRules)
    falses: Falses = field(default_factory=Falses)
    growth: Growth = field(default_factory=Growth)
    filtered: bool = True


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


def one_stage(recipe: Mapping[str, Stage]) -> Stage:
    """The baseline: as many steps in one go, on set 1, the margin fixed."""
    steps = sum(stage.schedule.steps for stage in recipe.values())
    goal = recipe["two"].growth.goal
    return Stage(replace(recipe["one"].schedule, steps=steps), growth=Growth(goal, 0.0, goal), filtered=False)


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
        given = {name.removeprefix("encoder."): value for name, value in load_file(speech).items()}
        own = pupil.judge.speech.state_dict()
        fitting = {n: v for n, v in given.items() if n in own and own[n].shape == v.shape and not n.startswith("last")}
        if not any(name.startswith("first.") for name in fitting):
            raise DataError(f"{speech}: holds no speech encoder; give best.safetensors of `kouxing train speech`")
        pupil.judge.speech.load_state_dict(own | fitting)
    return pupil


def run_stage(
    name: str,
    stage: Stage,
    start: Pupil,
    mouths: Sequence[Mouths],
    held_out: Sequence[Mouths],
    out: Path,
    late: Mapping[str, int],
    *,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> Pupil:
    """Train one stage from ``start`` (or go on with it) in ``out``; returns its best averaged weights."""
    # What a stage before returned are averaged weights, which were not learning.
    start.requires_grad_(True)
    if stage.growth.start is not None:
        start.margin.fill_(stage.growth.start)
    windows = SyncWindows(mouths, stage.schedule.batch, stage.rules, stage.schedule.seed, late)
    task = SyncTask(start, windows, held_out, stage.falses, stage.growth)
    told = {key: value for key, value in asdict(stage).items() if key != "schedule"}
    config = {
        "model": f"sync, stage {name}", "dimensions": start.judge.dimensions.as_dict(), "weights": WEIGHTS,
        "clips": len(mouths), "late": dict(late), **told,
    }  # fmt: skip
    report(f"stage {name}: {len(mouths)} clips, {len(late)} of them moved in time")
    best = train(task, stage.schedule, out, device, config, report)
    assert isinstance(best, Pupil)
    return best.cpu()


def filter_clips(
    model: Discriminator | Judges, mouths: Sequence[Mouths], limits: Limits | None = None
) -> list[Verdict]:
    """What discriminator 1 says of every clip."""
    calibration = Calibration(STEEPNESS)
    return [judge_clip(o.clip.id, similarities(*embed(model, o)), ~o.silent, calibration, limits) for o in mouths]


def second_set(mouths: Sequence[Mouths], verdicts: Sequence[Verdict]) -> tuple[list[Mouths], dict[str, int]]:
    """Data set 2: the kept clips, and by how much the sound of some of them is late."""
    told = {verdict.id: verdict for verdict in verdicts}
    kept = [one for one in mouths if told[one.clip.id].kept]
    if not kept:
        raise DataError("the filter of stage 1 kept no clip; train stage 1 for more steps")
    return kept, {one.clip.id: told[one.clip.id].late for one in kept if told[one.clip.id].late}


def main(
    data: Path,
    out: Path,
    *,
    speech: Path | None = None,
    whisper: Path | None = None,
    resnext: Path | None = None,
    recipe: Mapping[str, Stage] | None = None,
    baseline: bool = False,
    spoiled: bool = False,
    device: str = "cpu",
    report: Callable[[str], None] = print,
) -> Discriminator:
    """Train on ``data``'s train split; the same command resumes.

    ``out/one``, ``out/two`` and ``out/three`` hold discriminators 1, 2 and 3, ``out/set2.csv`` what the filter decided;
    ``out`` itself the weights as ONNX with their cards (``KOUXING_WEIGHTS=out`` uses them).

    Args:
        data: data folder.
        out: run folder.
        speech: see ``fresh``.
        whisper: folder of a Whisper model: trains ``syncx`` instead, on its frozen encoder's states. ``syncx`` stays in
            PyTorch: no ONNX is written.
        resnext: safetensors of torchvision's ``resnext50_32x4d`` that its mouth encoder starts from.
        recipe: instead of ``RECIPE``.
        baseline: also train the same network in one stage (``out/onestage``).
        spoiled: also train stage 1 on clips of which a fifth is spoiled, and tell what the filter finds
            (``out/spoiled``, ``out/spoiled.json``).
        device: see ``train.loop.train``.
        report: where progress lines go.

    Returns:
        Discriminator 3.
    """
    recipe = recipe or RECIPE
    mouths, held_out = load_mouths(data, "train"), load_mouths(data, "val")
    out.mkdir(parents=True, exist_ok=True)
    seed, states = recipe["one"].schedule.seed, 0
    if whisper is not None:
        ear = WhisperEar(whisper)
        report(f"syncx: Whisper's states of {len(mouths) + len(held_out)} clips")
        mouths, held_out = with_states(data, mouths, ear), with_states(data, held_out, ear)
        states = ear.states

    def beginner() -> Pupil:
        return fresh_x(states, seed, resnext) if states else fresh(seed, speech)

    pupil = beginner()
    pupil = run_stage("one", recipe["one"], pupil, mouths, held_out, out / "one", {}, device=device, report=report)
    export_stage(pupil, data, out / "one")
    kept, late = filtered(pupil.judge, mouths, out, report)
    for name in ("two", "three"):
        pupil = run_stage(name, recipe[name], pupil, kept, held_out, out / name, late, device=device, report=report)
        export_stage(pupil, data, out / name)
        pupil.margin.fill_(history(out / name)[-1]["margin"])
    sync_plots.margins({name: history(out / name) for name in STAGES}, out / "margin.png")
    judge = pupil.judge
    finish(judge, held_out, data, out, best_figures(out / "three"), report)
    if spoiled:
        find_spoiled(mouths, held_out, out, recipe["one"], beginner(), read_verdicts(out / SET_TWO), device, report)
    if baseline:
        stage, pupil = one_stage(recipe), beginner()
        folder = out / "onestage"
        pupil = run_stage("onestage", stage, pupil, mouths, held_out, folder, {}, device=device, report=report)
        export_stage(pupil, data, out / "onestage")
    return judge


def fresh_x(states: int, seed: int = 0, resnext: Path | None = None) -> Pupil:
    """An untrained ``syncx``; see ``main``.

    Raises:
        DataError: ``resnext`` does not fit.
    """
    torch.manual_seed(seed)
    body = syncx.ResNeXt()
    if resnext is not None:
        try:
            syncx.take_over(body, load_file(resnext))
        except RuntimeError as error:
            raise DataError(f"{resnext}: is not torchvision's resnext50_32x4d as safetensors") from error
    return Pupil(syncx.build(states, RATE, body), GEOMETRY)


def export_stage(pupil: Pupil, data: Path, folder: Path) -> None:
    """A stage's discriminator as ONNX beside its checkpoint, so that stages can be compared as they would be used."""
    if isinstance(pupil.judge.speech, syncx.StateSpeech):
        return
    figures = {name.removeprefix("val/"): v for name, v in best_figures(folder).items() if name != "step"}
    export_sync(copy.deepcopy(pupil.judge), None, about(data, RECIPE_COMMAND, UNITS, figures), folder)


def filtered(
    model: Discriminator | Judges, mouths: Sequence[Mouths], out: Path, report: Callable[[str], None]
) -> tuple[list[Mouths], dict[str, int]]:
    """Set 2, decided once and kept in ``out``."""
    path = out / SET_TWO
    if not path.exists():
        verdicts = filter_clips(model, mouths)
        sync_plots.verdicts(verdicts, out / "filter.png")
        write_verdicts(path, {one.clip.id: one.clip for one in mouths}, verdicts)
    verdicts = read_verdicts(path)
    kept, late = second_set(mouths, verdicts)
    report(f"filter: {len(kept)} of {len(mouths)} clips kept, {len(late)} of them moved in time")
    return kept, late


def find_spoiled(
    mouths: Sequence[Mouths],
    held_out: Sequence[Mouths],
    out: Path,
    stage: Stage,
    pupil: Pupil,
    honest: Sequence[Verdict],
    device: str,
    report: Callable[[str], None],
) -> dict[str, float]:
    """Train stage 1 on partly spoiled clips and tell what the filter finds; kept in ``out/spoiled.json``."""
    changed, done = spoil(mouths, stage.schedule.seed)
    pupil = run_stage("spoiled", stage, pupil, changed, held_out, out / "spoiled", {}, device=device, report=report)
    verdicts = filter_clips(pupil.judge, changed)
    write_verdicts(out / "spoiled.csv", {one.clip.id: one.clip for one in changed}, verdicts)
    figures = spoiled_figures(changed, verdicts, done, {verdict.id: verdict for verdict in honest})
    (out / SPOILED).write_text(json.dumps(figures, indent=1), encoding="utf-8")
    report("  ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    return figures


def spoiled_figures(
    mouths: Sequence[Mouths], verdicts: Sequence[Verdict], done: Mapping[str, Spoil], honest: Mapping[str, Verdict]
) -> dict[str, float]:
    """Shares of wrong clips dropped, moved ones re-aligned within a frame, and good ones kept; overall and by group.

    Args:
        mouths: the clips.
        verdicts: the filter's, in their order.
        done: what was spoiled, by id.
        honest: verdicts on the clips as they are: a clip's own offset adds to the planted one.
    """
    shares: dict[str, list[bool]] = {}
    for one, verdict in zip(mouths, verdicts, strict=True):
        group = "words" if one.clip.seconds < 2 else one.clip.part
        own, what = honest.get(one.clip.id), done[one.clip.id]
        if what.wrong:
            name, good = "dropped", not verdict.kept
        elif what.late:
            already = own.late if own is not None and own.kept else 0
            name, good = "realigned", verdict.kept and abs(verdict.offset - what.late - already) <= 1.5
        else:
            name, good = "kept", verdict.kept
        for key in (f"filter_{name}", f"filter_{name}_{group}"):
            shares.setdefault(key, []).append(good)
    return {name: sum(values) / len(values) for name, values in sorted(shares.items())}


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
    group = "words" if clip.clip.seconds < 2 else clip.clip.part
    return Embedded(clip.clip.id, group, mouth, speech, ~clip.silent, model.dimensions.mouth_reach)


def finish(
    model: Discriminator | Judges,
    held_out: Sequence[Mouths],
    data: Path,
    out: Path,
    figures: Mapping[str, float],
    report: Callable[[str], None] = print,
    recipe: str = RECIPE_COMMAND,
) -> Calibration:
    """Calibrate, keep the weights in ``out``, and export them with their card."""
    calibration, error = calibrate(model, held_out)
    told = {name.removeprefix("val/"): value for name, value in figures.items() if name != "step"}
    write_aside(out / BEST, model.state_dict(), {name: repr(value) for name, value in told.items()})
    if isinstance(model.speech, syncx.StateSpeech):
        report(f"syncx kept in {out / BEST}; calibration error {error:.3f}")
        return calibration
    difference = export_sync(model, calibration, about(data, recipe, UNITS, told | {"calibration_error": error}), out)
    report(f"exported to {out}; ONNX differs by {difference:.1e}; calibration error {error:.3f}")
    return calibration


def load(run: Path, stage: str | None = None) -> Discriminator | Judges:
    """Discriminator 3 of a run folder, or that of ``stage`` (``one``, ``two``, ``three``, ``onestage``), ready to use.

    Raises:
        DataError: the folder holds none.
    """
    path = run / stage / BEST if stage else run / BEST
    if not path.exists():
        raise DataError(f"{path}: no trained discriminator; run `kouxing train sync --out {run}` first")
    given = load_file(path)
    if stage:
        given = {name.removeprefix("judge."): value for name, value in given.items() if name.startswith("judge.")}
    if "mouth.body.conv1.weight" in given:
        model: Discriminator | Judges = syncx.build(len(given["speech.norm.weight"]), RATE)
    elif "mouth.last.weight" in given:
        model = Discriminator(SyncDimensions())
    else:
        members = 1 + max(int(name.split(".")[1]) for name in given if name.startswith("members."))
        model = Judges([Discriminator(SyncDimensions()) for _ in range(members)])
        given = {name: value for name, value in given.items() if name.startswith("members.")}
        model.load_state_dict(given, strict=False)
        return model.eval()
    model.load_state_dict(given)
    return model.eval()


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
    if len(single) < 2 or len(single) != len(members):
        raise DataError(f"{', '.join(map(str, runs))}: give two or more run folders of `kouxing train sync`")
    held_out = load_mouths(data, "val")
    model = Judges(single).eval()
    out.mkdir(parents=True, exist_ok=True)
    figures = measured(model, held_out)
    command = f"kouxing train judges {' '.join(f'--run RUN{n + 1}' for n in range(len(runs)))} --data DATA"
    finish(model, held_out, data, out, figures, report, command)
    for path in sorted([runs[0] / SPOILED, *runs[0].glob("*/sync_*.onnx"), *runs[0].glob("*/sync_*.json")]):
        if path.exists():
            place = out / path.relative_to(runs[0])
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, place)
    return model
