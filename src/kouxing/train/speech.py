"""Train the speech encoder: sound -> mouth geometry. Phones first, then who is in step, then everybody."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kouxing import weights
from kouxing.arkit import PLACE
from kouxing.audio.encoder import FILE_NAME, LIVE_NAME, NAME, front_of
from kouxing.audio.front import NAME as FRONT
from kouxing.audio.front import WIDTH
from kouxing.audio.live_front import NAME as LIVE_FRONT
from kouxing.data.animate import Take, mocap_takes
from kouxing.data.footage import Footage, load_footage
from kouxing.data.front import FrontCapture, FrontSounds, FrontWindows, front_footage, front_takes
from kouxing.data.speech import CaptureWindows, Noises, PhoneWindows, SpeechWindows, is_anchor, one_scale, together
from kouxing.data.sync import STEPS, Step, find_step, read_steps, steps_of, write_steps
from kouxing.data.sync_filter import check_clips, read_verdicts
from kouxing.errors import DataError
from kouxing.eval.metrics import correlation
from kouxing.face import geometry
from kouxing.losses.motion import closure_loss, correlation_loss, geometry_error, masked_mean, velocity_error
from kouxing.media.aside import make_folder
from kouxing.models.speech import Ears, Listener, SpeechDimensions, SpeechEncoder
from kouxing.text.phones import MOUTHS
from kouxing.train import phones
from kouxing.train.card import about, changed, further_sources
from kouxing.train.export import export_speech
from kouxing.train.loop import (
    BEST,
    Batch,
    Figures,
    Schedule,
    best_figures,
    counting,
    load_tensors,
    read_tensors,
    train,
    write_aside,
)
from kouxing.train.origin import origin

WEIGHTS = {
    "geometry": 1.0,
    "velocity": 1.0,
    "correlation": 0.5,
    "closure": 0.1,
    "silence": 0.3,
    "phones": 0.2,
    "coefficients": 0.15,
    "jaw": 0.25,
    "captured": 0.3,
}
"""The loss table; phones, coefficients and jaw are the helping heads', captured is the opening in motion capture."""
CLOSED_GAP, OPEN_GAP = 0.006, 0.016
"""Inner-lip gap over face width: fully closed under the first, open over the second (kappa between)."""
HELPERS = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "mouthStretchLeft", "mouthStretchRight", "mouthRollLower",
    "mouthRollUpper",
)  # fmt: skip
"""Motion-capture channels of the helping head, the jaw first."""
FRAMES = 75
"""Longest window in video frames."""
PHONE_SHARE, TAKE_SHARE = 0.25, 0.25
"""Windows with phones and of motion capture, per window of footage."""

PRESETS = {
    "speech": Schedule(
        steps=1000, batch=32, rate=1e-3, warmup=100, validate_every=100, decay=0.05, ema=0.995, precision="bf16-mixed"
    )
}
BEHIND_FRONT = SpeechDimensions(bands=WIDTH, steps=1, reach=4)
"""For files: sound is heard by the front first (``audio.front``)."""
FRONT_VERSIONS = 3
"""How many versions of every clip the front hears."""
LIVE_BEHIND_FRONT = replace(BEHIND_FRONT, earlier=BEHIND_FRONT.reach)
"""For streams: nothing is waited for beyond what the front of streams does (``audio.live_front``)."""
LIVE = SpeechDimensions(earlier=15)
"""For streams: 97.5 ms of look-ahead (``infer.mouth.look_ahead_ms``) instead of 247.5."""
ANCHOR_STEPS = 300
"""Steps of the model that tells who is in step: trained on studio clips and single words only."""


@dataclass
class SpeechTask:
    """Model, data and losses of the speech encoder."""

    model: Listener
    windows: Callable[[int], Batch]
    held_out: list[Footage]

    def __post_init__(self) -> None:
        _, scale = geometry.basis()
        self._scale = torch.from_numpy(scale / scale[0])
        self._opening = torch.from_numpy(geometry.opening_weights() / scale[0])

    def batch(self, number: int) -> Batch:
        return self.windows(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        mask, real = batch["mask"], batch["geometry"]
        sounds = [batch[name] for name in ("mel", "phone_mel", "take_mel") if name in batch]
        outputs = [value.float() for value in model(torch.cat(sounds))]
        sizes = [len(sound) for sound in sounds]
        predicted = outputs[0][: len(mask)]
        scale, way = self._scale.to(mask.device), self._opening.to(mask.device)
        opening = predicted @ way
        closed = ((OPEN_GAP - batch["aperture"]) / (OPEN_GAP - CLOSED_GAP)).clamp(0, 1)
        terms = {
            "geometry": geometry_error(predicted, real, mask, scale),
            "velocity": velocity_error(predicted, real, mask, scale),
            "correlation": correlation_loss(opening, real @ way, mask),
            "closure": closure_loss(opening, closed, mask),
            # Silence rests the mouth, whatever the tracked person did there.
            "silence": geometry_error(predicted, torch.zeros_like(real), batch["silent"] * mask, scale),
        }
        if "classes" in batch:
            terms["phones"] = phones.phone_loss(outputs[1][sizes[0] : sizes[0] + sizes[1]], batch["classes"])
        if "coefficients" in batch:
            told, wanted, known = outputs[2][-sizes[-1] :], batch["coefficients"], batch["known"]
            terms["coefficients"] = masked_mean((told - wanted).square(), known)
            terms["jaw"] = correlation_loss(told[..., 0], wanted[..., 0], known[..., 0])
            heard = outputs[0][-sizes[-1] :] @ way
            terms["captured"] = correlation_loss(heard, batch["distance"], known[..., 0])
        loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
        return loss, {f"speech/{name}": value.detach() for name, value in terms.items()} | {
            "speech/loss": loss.detach()
        }

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        return measured(model, self.held_out)


def measured(model: nn.Module, held_out: list[Footage]) -> dict[str, float]:
    """Correlation of heard and tracked openings: medians and means by group, and a score."""
    groups: dict[str, list[float]] = {"grid": [], "words": [], "wild": []}
    for clip in held_out:
        predicted = predict(model, clip)
        r = correlation(geometry.opening(predicted)[clip.found], clip.aperture[clip.found])
        groups[clip.clip.group].append(r)
    medians = {f"val/{name}_r": float(np.nanmedian(values)) for name, values in groups.items() if values}
    # Means of the few: a median of seven clips jumps from one to the next.
    means = {name: float(np.nanmean(values)) for name, values in groups.items() if values}
    wild = [means[name] for name in ("words", "wild") if name in means]
    # Speakers never seen count; s1's held-out sentences only break ties.
    score = float(np.mean(wild)) + 0.2 * means.get("grid", 0.0) if wild else means["grid"]
    return medians | {f"val/{name}_mean": value for name, value in means.items()} | {"score": score}


@torch.no_grad()
def predict(model: nn.Module, clip: Footage) -> np.ndarray:
    """Geometry ``[T, 16]`` that the encoder (or a ``Listener``'s) hears in a clip."""
    encoder = model.encoder if isinstance(model, Listener) else model
    assert isinstance(encoder, SpeechEncoder | Ears)
    encoder.eval()
    device = next(encoder.parameters()).device
    around = (encoder.dimensions.before_rows, encoder.dimensions.after_rows)
    heard = np.pad(clip.mel, (around, (0, 0)), constant_values=encoder.dimensions.quiet)
    mel = torch.from_numpy(heard)[None].to(device)
    features, _ = encoder(mel, encoder.initial_state(1))
    return np.asarray(features[0].float().cpu().numpy(), np.float32)


@dataclass(frozen=True)
class _Stage:
    """What all stages share."""

    spoken: phones.PhoneData | None
    takes: list[Take]
    held_out: list[Footage]
    device: str
    report: Callable[[str], None]
    dimensions: SpeechDimensions
    of: dict[str, str]

    def windows(self, footage: list[Footage], schedule: Schedule, late: dict[str, int]) -> Callable[[int], Batch]:
        size = self.dimensions
        around = (size.before_rows, size.after_rows)
        noises, behind = Noises(footage), size.behind_front
        kind = FrontWindows if behind else SpeechWindows
        parts: list[Callable[[int], Batch]] = [kind(footage, FRAMES, schedule.batch, around, schedule.seed, late)]
        if self.spoken is not None:
            count = max(1, round(schedule.batch * PHONE_SHARE))
            parts.append(PhoneWindows(self.spoken.made, self.spoken.real, noises, FRAMES, count, around, schedule.seed))
        if self.takes:
            count = max(1, round(schedule.batch * TAKE_SHARE))
            columns = [PLACE[name] for name in HELPERS]
            captured = FrontCapture if behind else CaptureWindows
            parts.append(captured(self.takes, columns, noises, FRAMES, count, around, schedule.seed))
        return together(parts)

    def run(
        self, name: str, start: Listener, footage: list[Footage], schedule: Schedule, out: Path, late: dict[str, int]
    ) -> Listener:
        task = SpeechTask(start, self.windows(footage, schedule, late), self.held_out)
        config = {
            "model": name,
            "dimensions": start.encoder.dimensions.as_dict(),
            "weights": WEIGHTS,
            "late": late,
            "clips": len(footage),
            "phones": self.spoken is not None,
            "takes": [take.name for take in self.takes],
            "origin": self.of,
        }
        best = train(task, schedule, out, self.device, config, self.report)
        assert isinstance(best, Listener)
        return best


def fresh(seed: int = 0, dimensions: SpeechDimensions | None = None) -> Listener:
    """An untrained encoder with its helping heads."""
    torch.manual_seed(seed)
    return Listener(SpeechEncoder(dimensions or SpeechDimensions()), len(MOUTHS), len(HELPERS))


def main(
    data: Path,
    out: Path,
    *,
    live: bool = False,
    front: bool = False,
    set_two: Path | None = None,
    device: str = "cpu",
    schedule: Schedule = PRESETS["speech"],
    report: Callable[[str], None] = print,
) -> SpeechEncoder:
    """Train on ``data``'s train split; the same command resumes.

    Three stages: phones (``out/phones``; left out where there is no speech with phones), an encoder of studio clips and
    single words that tells which other clips are in step (``out/anchors``, ``out/steps.json``), then all clips
    (``out/all``). ``out/best.safetensors`` holds the encoder alone, without the heads that only training needs.

    Args:
        data: data folder.
        out: run folder; at the end it also holds the weights as ONNX with their card
            (``KOUXING_WEIGHTS=out`` uses them).
        front: hear through the front (``audio.front``), which knows phones already: no stage 1.
        live: hear no further ahead than ``LIVE`` and ``LIVE_BEHIND_FRONT`` do, for streams; files may wait.
        set_two: what the filter of ``train sync`` decided (its ``set2.csv``), in place of stage 2: it also tells of
            single words, which are too short for an encoder to tell.
        device: see ``train.loop.train``.
        schedule: instead of the preset's; stages before the last take no more steps than it has.
        report: where progress lines go.

    Returns:
        The best averaged model.

    Raises:
        DataError: ``set_two`` is no such file, of other data, other than what the run began with, or leaves no clip.
    """
    verdicts = None if set_two is None else read_verdicts(set_two)
    footage = load_footage(data, "train", counting(report, "clips made ready"))
    decided = None
    if set_two is not None and verdicts is not None:
        check_clips(set_two, verdicts, [clip.clip.id for clip in footage])
        decided = steps_of(verdicts)
    held_out = load_footage(data, "val")
    dimensions = dimensions_of(live, front)
    takes, of = mocap_takes(data, "train"), origin(data, set2=set_two)
    if front:
        sounds = front_sounds(data, dimensions)
        footage = front_footage(sounds, footage, FRONT_VERSIONS, report)
        held_out = front_footage(sounds, held_out, 1, lambda _: None)
        takes = front_takes(sounds, takes, FRONT_VERSIONS, report)
        of |= {"front": sounds.sha256}
    spoken = None if front else phones.load(data, report)
    stage = _Stage(spoken, takes, held_out, device, report, dimensions, of)
    start = fresh(schedule.seed, dimensions)
    if spoken is not None:
        lesson = replace(
            phones.SCHEDULE,
            steps=min(phones.SCHEDULE.steps, schedule.steps),
            seed=schedule.seed,
            precision=schedule.precision,
        )
        report("stage 1 of 3: phones")
        phones.pretrain(start, spoken, footage, out / "phones", device=device, schedule=lesson, report=report)
    taught = {name: value.clone() for name, value in start.state_dict().items()}
    report("stage 2 of 3: who is in step")
    steps = who_is_in_step(stage, start, footage, out, schedule, decided)
    start.load_state_dict(taught)
    kept = [clip for clip in footage if clip.clip.id not in steps or steps[clip.clip.id].kept]
    if not kept:
        raise DataError(f"{out / STEPS}: no clip is left to learn from; none follows its sound")
    late = {clip.clip.id: step.late for clip in kept if (step := steps.get(clip.clip.id)) and step.late}
    report(f"stage 3 of 3: all clips ({len(late)} moved in time, {len(footage) - len(kept)} left out)")
    model = stage.run("speech", start, one_scale(kept), schedule, out / "all", late).encoder
    told = {name: repr(value) for name, value in best_figures(out / "all").items()}
    write_aside(out / BEST, model.state_dict(), told)
    options = [
        *(["--front"] if front else []),
        *(["--live"] if live else []),
        *(["--set2 SET2"] if set_two else []),
        *changed(schedule, PRESETS["speech"]),
    ]
    save(model, data, out, " ".join(["kouxing train speech --data DATA", *options, f"--out runs/{out.name}"]))
    return model


def dimensions_of(live: bool, front: bool) -> SpeechDimensions:
    """Sizes of an encoder for streams or files, behind the front or not."""
    if front:
        return LIVE_BEHIND_FRONT if live else BEHIND_FRONT
    return LIVE if live else SpeechDimensions()


def front_sounds(data: Path, dimensions: SpeechDimensions) -> FrontSounds:
    """What the encoder of these sizes, which is behind a front, hears of ``data``.

    Raises:
        WeightError: the front is missing.
    """
    front = front_of(dimensions.as_dict(), None)
    assert front is not None
    return FrontSounds(data, front)


def front_card(dimensions: SpeechDimensions) -> weights.Card:
    """The card of the front that an encoder of these sizes is behind.

    Raises:
        WeightError: it is missing.
    """
    return weights.card(LIVE_FRONT if dimensions.live else FRONT)


def who_is_in_step(
    stage: _Stage,
    start: Listener,
    footage: list[Footage],
    out: Path,
    schedule: Schedule,
    decided: dict[str, Step] | None = None,
) -> dict[str, Step]:
    """Timing of clips by id, kept in ``out``.

    As ``decided``, or of every clip that is no anchor as a model of anchors alone hears it: empty where there are no
    anchors, or nothing else.

    Raises:
        DataError: the run began with another decision.
    """
    if (out / STEPS).exists():
        # Empty, too, is a decision: no clip was moved.
        steps = read_steps(out)
        if decided not in (None, steps):
            raise DataError(f"{out / STEPS} says otherwise than --set2: the run began with it; give another --out")
        return steps
    if decided is not None:
        write_steps(out, decided)
        return decided
    steps = {}
    anchors, others = [c for c in footage if is_anchor(c)], [c for c in footage if not is_anchor(c)]
    if anchors and others:
        short = replace(schedule, steps=min(ANCHOR_STEPS, schedule.steps))
        model = stage.run("anchors", start, anchors, short, out / "anchors", {})
        for clip in others:
            steps[clip.clip.id] = find_step(geometry.opening(predict(model, clip)), clip.aperture, clip.found)
    write_steps(out, steps)
    return steps


def load(run: Path) -> SpeechEncoder | Ears:
    """What a run folder of ``main`` or ``average`` holds, ready to use.

    Raises:
        DataError: it holds none.
    """
    path = run / BEST
    if not path.exists():
        raise DataError(f"{run}: no trained speech encoder ({BEST}); run `kouxing train speech --out {run}` first")
    given = read_tensors(path)
    count = len({name.split(".")[1] for name in given if name.startswith("members.")})
    members = [SpeechEncoder(_dimensions(run)) for _ in range(max(1, count))]
    model = Ears(members) if count else members[0]
    load_tensors(model, path)
    return model.eval()


def _dimensions(run: Path) -> SpeechDimensions:
    """One encoder's sizes, by the card beside it."""
    for name in (NAME, FILE_NAME, LIVE_NAME):
        card = run / f"{name}.json"
        if card.exists():
            told = json.loads(card.read_text(encoding="utf-8"))["dimensions"]
            return SpeechDimensions(**{**told, "members": 1})
    return SpeechDimensions()


def average(runs: Sequence[Path], data: Path, out: Path, report: Callable[[str], None] = print) -> Ears:
    """Join several runs of ``main`` (other seeds, other recipes) into one encoder, exported with its card into ``out``.

    Args:
        runs: run folders, two or more; the first one's clips that were moved in time are those of the whole.
        data: data folder whose ``val`` split is measured for the card.
        out: the folder to write.
        report: where the figures go.

    Raises:
        DataError: a folder holds no single encoder, or they hear in different ways.
    """
    members = [load(run) for run in runs]
    single = [member for member in members if isinstance(member, SpeechEncoder)]
    if len(members) < 2 or len(single) != len(members):
        raise DataError(f"{', '.join(map(str, runs))}: give two or more run folders of `kouxing train speech`")
    if len({member.dimensions for member in single}) > 1:
        raise DataError(
            f"{', '.join(map(str, runs))}: their encoders hear in different ways; give runs with the same --front and "
            "--live, ended ones of this program"
        )
    model = Ears(single).eval()
    held_out = load_footage(data, "val")
    if model.dimensions.behind_front:
        held_out = front_footage(front_sounds(data, model.dimensions), held_out, 1, lambda _: None)
    figures = measured(model, held_out)
    report("  ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    make_folder(out)
    # What is built on the encoder puts its clips in step as the first run did.
    if steps := read_steps(runs[0]):
        write_steps(out, steps)
    write_aside(out / BEST, model.state_dict(), {name: repr(value) for name, value in figures.items()})
    save(model, data, out, f"kouxing train ears {' '.join(f'--run RUN{n + 1}' for n in range(len(runs)))} --data DATA")
    return model


def save(model: SpeechEncoder | Ears, data: Path, out: Path, recipe: str) -> None:
    """Export the model of run folder ``out`` into it, with its card; ``recipe`` is the command that makes it anew."""
    units = {
        "mel": "[1, before + 4T + after, 80] log power, 100 Hz; before, after = 4 * reach +- earlier",
        "heard": "in place of mel: [1, T + 2 * reach, 288] of the front, 25 Hz",
        "features": "[1, T, 16] mouth geometry (face.geometry), 25 Hz, 0 = lips closed and relaxed",
    }
    figures = {name.removeprefix("val/"): value for name, value in best_figures(out).items()}
    behind = model.dimensions.behind_front
    beside = further_sources(data, coefficients=False, phones=not behind)
    if behind:
        front = front_card(model.dimensions)
        beside = [*front["data"], *beside]
    told = about(data, recipe, units, figures, beside)
    export_speech(model, told | ({"front": front["sha256"]} if behind else {}), out)
