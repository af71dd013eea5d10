"""Train ``expression``: (speech, emotion, style) -> coefficients (methods.md section 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.data.animate import Take, in_step, load_takes
from kouxing.data.front import FrontSounds, hear_front
from kouxing.data.heard import Heard, HeardWindows, hear_takes
from kouxing.data.sync import read_steps
from kouxing.face.closure import TYPICAL_DISTANCE, distance_weights
from kouxing.face.emotions import ACTION_UNITS
from kouxing.models.expression import (
    Expression,
    ExpressionDimensions,
    ExpressionStep,
    heard_distance,
)
from kouxing.models.speech import Ears, SpeechEncoder
from kouxing.train.card import Source, about, changed, further_sources, inherited
from kouxing.train.export_animate import export_expression
from kouxing.train.loop import Batch, Figures, Schedule, counting, train
from kouxing.train.mouth import held_out_figures, mouth_terms, spread, told_figures
from kouxing.train.origin import origin
from kouxing.train.speech import FRONT_VERSIONS, front_card, front_sounds
from kouxing.train.speech import load as load_speech
from kouxing.types import Float

WEIGHTS = {
    "values": 0.6,
    "distance": 2.0,
    "velocity": 1.0,
    "correlation": 0.5,
    "closure": 4.0,
    "shut": 0.3,
    "silence": 0.5,
    "style": 0.1,
}
"""The loss table. w1 is ``values`` and ``distance``, w2 ``closure``; distances in units of ``TYPICAL_DISTANCE``."""

FRAMES, VERSIONS = 75, 4
"""Length of a sample in video frames; how many versions of every take the encoder hears."""
AVERAGE_STYLE, READ_STYLE = 0.4, 0.35
"""Shares of samples with no style (all 0) and with one read from the take; the rest has the speaker's own."""

UNHEARD = ("eyeBlink", "eyeLook")
"""Channels that speech does not tell; they stay 0 here, blinks are added in use (``infer.blinks``)."""

PRESETS = {"expression": Schedule(steps=400, batch=48, rate=1e-3, warmup=50, validate_every=50, decay=0.05, ema=0.99)}


@dataclass
class ExpressionTask:
    """Model, data and losses of ``expression``."""

    model: Expression
    windows: HeardWindows
    held_out: list[Take]
    held_out_heard: list[list[Heard]]
    spread: Float
    encoder: SpeechEncoder | Ears

    def __post_init__(self) -> None:
        self._distance = torch.from_numpy(distance_weights()) / TYPICAL_DISTANCE
        weight = 1 / np.maximum(self.spread, 0.05) ** 2
        unheard = [place for name, place in PLACE.items() if name.startswith(UNHEARD)]
        weight[unheard] = 0.1 * weight[unheard]
        self._importance = torch.from_numpy(weight.astype(np.float32))
        self._unheard = torch.tensor(unheard)
        self._chance = torch.Generator().manual_seed(0)

    def batch(self, number: int) -> Batch:
        batch = self.windows(number)
        batch["values"][..., self._unheard] = 0
        batch["kind"] = torch.rand(len(batch["speaker"]), generator=torch.Generator().manual_seed(number))
        return batch

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        style, apart = self._styles(batch)
        steps = batch["heard"].shape[1]
        state = self.model.initial_state(len(style)).to(style)
        values, shut, _ = model(batch["heard"], batch["emotion"], style[:, None].expand(-1, steps, -1), state)
        closes = self.model.dimensions.shuts
        terms = mouth_terms(values, shut if closes else None, batch, self._distance, self._importance)
        if not closes:
            del terms["closure"]
        terms["style"] = apart
        loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
        figures = {f"expression/{name}": value.detach() for name, value in terms.items()}
        return loss, figures | {"expression/loss": loss.detach()}

    def _styles(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Style of each sample ``[B, S]``, and how far the two ways to a speaker's style are apart."""
        known, read = self.model.style.known(batch["speaker"]), self.model.style.read(batch["statistics"])
        kind = batch["kind"][:, None]
        chosen = torch.where(kind < AVERAGE_STYLE + READ_STYLE, read, known)
        return torch.where(kind < AVERAGE_STYLE, torch.zeros_like(chosen), chosen), (known - read).square().mean()

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        made = [predict(cast(Expression, model), self.encoder, pieces) for pieces in self.held_out_heard]
        return held_out_figures(self.held_out, made)


@torch.no_grad()
def predict(model: Expression, encoder: SpeechEncoder | Ears, pieces: list[Heard]) -> Float:
    """Coefficients ``[T, 52]`` of a take's pieces in order: neutral, average style."""
    model.eval()
    device = next(model.parameters()).device
    step, size, made = ExpressionStep(encoder, model), model.dimensions, []
    state = model.initial_state(1).to(device)
    for piece in pieces:
        heard = torch.from_numpy(piece.features.astype(np.float32))[None].to(device)
        emotion = heard.new_zeros(1, heard.shape[1], size.emotions)
        emotion[..., 0] = 1
        values, shut, state = model(heard, emotion, heard.new_zeros(1, heard.shape[1], size.style), state)
        made.append(step.finished(values, shut, emotion, heard_distance(encoder, heard))[0].cpu().numpy())
    return np.concatenate(made)


def main(
    data: Path,
    out: Path,
    *,
    speech: Path,
    closure: bool = True,
    device: str = "cpu",
    schedule: Schedule = PRESETS["expression"],
    report: Callable[[str], None] = print,
) -> Expression:
    """Train on ``data``'s train split; the same command resumes.

    Args:
        data: data folder.
        out: run folder; at the end it also holds the weights as ONNX with their card.
        speech: run folder of ``train speech``, whose trunk hears and which told who is in step.
        closure: with the closure loss and what draws the lips together; False for the ablation.
        device: see ``train.loop.train``.
        schedule: instead of the preset's.
        report: where progress lines go.

    Returns:
        The best averaged model.

    Raises:
        DataError: no trained encoder there.
    """
    encoder = load_speech(speech)
    takes = in_step(load_takes(data, "train", counting(report, "clips made ready")), read_steps(speech), report)
    held_out = load_takes(data, "val")
    sounds = front_sounds(data, encoder.dimensions) if encoder.dimensions.behind_front else None
    task = prepare(encoder, takes, held_out, schedule, closure, report, sounds)
    config = {
        "model": "expression", "dimensions": asdict(task.model.dimensions), "weights": WEIGHTS,
        "origin": origin(data, speech=speech) | ({"front": sounds.sha256} if sounds else {}),
    }  # fmt: skip
    model = cast(Expression, train(task, schedule, out, device, config, report))
    options = changed(schedule, PRESETS["expression"]) + ([] if closure else ["--no-closure"])
    recipe = ["kouxing train expression --data DATA --speech RUN", *options, "--out runs/expression"]
    save(model, encoder, data, out, " ".join(recipe), inherited(speech))
    return model


def prepare(
    encoder: SpeechEncoder | Ears, takes: list[Take], held_out: list[Take], schedule: Schedule, closure: bool,
    report: Callable[[str], None] = print, sounds: FrontSounds | None = None,
) -> ExpressionTask:  # fmt: skip
    """Hear all takes and build the task; an encoder behind the front needs ``sounds``."""

    def hear(some: list[Take], versions: int, told: Callable[[str], None]) -> list[Heard]:
        if sounds is None:
            return hear_takes(encoder, some, versions, schedule.seed, told)
        return hear_front(encoder, some, sounds, min(versions, FRONT_VERSIONS), told)

    heard = hear(takes, VERSIONS, report)
    windows = HeardWindows(takes, heard, FRAMES, schedule.batch, schedule.seed)
    size = encoder.dimensions
    torch.manual_seed(schedule.seed)
    told = size.members * (size.hidden + size.width)
    model = Expression(ExpressionDimensions(heard=told, speakers=len(windows.speakers), shuts=closure))
    model.style.middle.copy_(windows.statistics.mean(0))
    model.style.spread.copy_(windows.statistics.std(0).clamp(min=0.02))
    held_out_heard = [hear([take], 1, lambda _: None) for take in held_out]
    return ExpressionTask(
        model, windows, held_out, [_in_order(pieces) for pieces in held_out_heard], spread(takes), encoder
    )


def _in_order(pieces: list[Heard]) -> list[Heard]:
    """Pieces come sorted by length: all but the last of a take are equally long."""
    return sorted(pieces, key=lambda piece: -len(piece.rows))


def save(
    model: Expression, encoder: SpeechEncoder | Ears, data: Path, out: Path, recipe: str, parents: Sequence[Source]
) -> None:
    """Export the model of run folder ``out`` into it, with its card.

    Args:
        model, encoder: the run's best, and what it hears with.
        data: what it was trained on.
        out: the run folder.
        recipe: the command that makes it anew.
        parents: see ``card.inherited``.
    """
    units = {
        "mel": "[1, 4T + 2 * 4 * reach, 80] log power, 100 Hz",
        "heard": "in place of mel: [1, T + 2 * reach, 288] of the front, 25 Hz",
        "emotion": "[1, T, 7] shares of arkit.EMOTIONS",
        "style": "[1, T, S]; 0 is the average style",
        "coefficients": f"[1, T, {len(COEFFICIENTS)}] ARKit's, 0..1, 25 Hz, row i at i / 25 s",
    }
    beside = further_sources(data, phones=not encoder.dimensions.behind_front)
    told = about(data, recipe, units, told_figures(out), [*beside, *parents])
    told["emotions"] = {
        "neutral": "real speech with each take's resting face taken off",
        **{
            name: f"no emotional footage: hand-set offsets after FACS action units {units_}, put onto real speech"
            for name, units_ in ACTION_UNITS.items()
        },
    }
    told["blinks"] = "not learned: speech does not tell of them; drawn at random in use, the same for the same seed"
    if encoder.dimensions.behind_front:
        told["front"] = front_card(encoder.dimensions)["sha256"]
    export_expression(model, encoder, told, out)
