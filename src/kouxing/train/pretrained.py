"""Train ``expression`` on a pretrained speech encoder (Whisper, HuBERT, wav2vec 2.0) instead of our own.

It answers what a larger ear would bring, on the same takes, losses and judge. Such an encoder hears whole windows, so
there is no stream and no ONNX: the run folder holds weights for PyTorch, used through ``Speaking``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from kouxing.arkit import EMOTIONS
from kouxing.data.animate import Take, load_takes
from kouxing.data.heard import Heard, HeardWindows
from kouxing.data.pretrained import digest, hear_with, load_encoder
from kouxing.errors import DataError
from kouxing.media.reader import load_sound
from kouxing.models.expression import Expression, ExpressionDimensions
from kouxing.models.mouth import shut_lips
from kouxing.models.pretrained_speech import PretrainedEncoder
from kouxing.train.expression import FRAMES, PRESETS, WEIGHTS, ExpressionTask
from kouxing.train.loop import BEST, Schedule, load_tensors, train
from kouxing.train.mouth import held_out_figures, spread
from kouxing.train.origin import origin
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ

VERSIONS = 2
"""How many versions of every take are heard; large encoders are slow on a CPU."""
GATE = (0.2, 0.5)
"""``models.mouth.shut_lips``: all there is to go by where the encoder tells no opening."""
ABOUT = "pretrained.json"
"""In the run folder: which encoder, and the model's dimensions."""


def main(
    data: Path,
    out: Path,
    *,
    encoder: str,
    layer: int = -1,
    download: bool = False,
    closure: bool = True,
    device: str = "cpu",
    schedule: Schedule = PRESETS["expression"],
    report: Callable[[str], None] = print,
) -> Expression:
    """Train on ``data``'s train split; the same command resumes.

    Args:
        data: data folder.
        out: run folder.
        encoder, layer, download: see ``data.pretrained.load_encoder``.
        closure, device, schedule, report: see ``train.expression.main``.

    Returns:
        The best averaged model.

    Raises:
        OptionError, DataError: see ``load_encoder``; or the data are not as they should be.
    """
    ear = load_encoder(encoder, layer=layer, download=download)
    if device != "auto":
        # It hears everything before the loop chooses a device by itself.
        ear.to(device)
    takes, held_out = load_takes(data, "train"), load_takes(data, "val")
    task = prepare(ear, data, takes, held_out, schedule, closure, report)
    told = {
        "encoder": encoder, "layer": layer, "sha256": digest(ear), "ear": ear.dimensions.as_dict(),
        "dimensions": task.model.dimensions.as_dict(),
    }  # fmt: skip
    config: dict[str, Any] = {"model": "expression", "weights": WEIGHTS, "origin": origin(data), **told}
    model = cast(Expression, train(task, schedule, out, device, config, report))
    (out / ABOUT).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return model


class PretrainedTask(ExpressionTask):
    """``expression`` where the encoder hears, but tells no opening."""

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        made = []
        for pieces in self.held_out_heard:
            heard = np.concatenate([piece.features for piece in pieces]).astype(np.float32)
            made.append(spoken(cast(Expression, model), torch.from_numpy(heard)[None]))
        return held_out_figures(self.held_out, made)


@torch.no_grad()
def spoken(model: Expression, heard: Tensor, emotion: str = "neutral") -> Float:
    """Coefficients ``[T, 52]`` of features ``[1, T, D]`` in the average style."""
    model.eval()
    frames, size = heard.shape[1], model.dimensions
    heard = heard.to(next(model.parameters()).device)
    mood = heard.new_zeros(1, frames, size.emotions)
    mood[..., EMOTIONS.index(emotion)] = 1
    state = model.initial_state(1).to(heard.device)
    values, shut, _ = model(heard, mood, heard.new_zeros(1, frames, size.style), state)
    made = shut_lips(values, shut, *GATE) if size.shuts else values
    return np.asarray(made[0].cpu().numpy(), np.float32)


def prepare(
    ear: PretrainedEncoder, data: Path, takes: list[Take], held_out: list[Take], schedule: Schedule, closure: bool,
    report: Callable[[str], None] = print,
) -> ExpressionTask:  # fmt: skip
    """Hear all takes and build the task of ``train.expression``."""
    heard = hear_with(ear, takes, [sound_of(data, take) for take in takes], VERSIONS, schedule.seed, report)
    windows = HeardWindows(takes, heard, FRAMES, schedule.batch, schedule.seed)
    torch.manual_seed(schedule.seed)
    size = ExpressionDimensions(heard=ear.dimensions.width, speakers=len(windows.speakers), shuts=closure)
    model = Expression(size)
    model.style.middle.copy_(windows.statistics.mean(0))
    model.style.spread.copy_(windows.statistics.std(0).clamp(min=0.02))
    pieces: list[list[Heard]] = [
        hear_with(ear, [take], [sound_of(data, take)], 1, 0, lambda _: None) for take in held_out
    ]
    # The task asks its encoder for an opening of its own when it validates; this one has none, and is not asked.
    return PretrainedTask(model, windows, held_out, pieces, spread(takes), encoder=cast(Any, ear))


def sound_of(data: Path, take: Take) -> Float:
    """A take's sound, ``[N]`` at ``SAMPLE_HZ``."""
    path = data / "mocap" / f"{take.name}.flac" if take.group == "mocap" else data / "clips" / f"{take.name}.mp4"
    return load_sound(path, SAMPLE_HZ).samples


class Speaking:
    """A trained run in use: speech -> coefficients, offline.

    Args:
        run: run folder of ``main``.
        encoder: where the same encoder lies now; by default where it lay in training.
        download: see ``data.pretrained.load_encoder``.

    Raises:
        DataError: no such run, or another encoder than it was trained with.
    """

    def __init__(self, run: Path, encoder: str | None = None, download: bool = False) -> None:
        try:
            told = json.loads((run / ABOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{run}: has no {ABOUT}; give the run folder of `train expression --encoder`") from error
        self._ear = load_encoder(encoder or told["encoder"], layer=int(told["layer"]), download=download)
        if digest(self._ear) != told["sha256"]:
            raise DataError(f"{encoder or told['encoder']}: is not the encoder that {run} was trained with")
        self._model = Expression(ExpressionDimensions(**told["dimensions"]))
        load_tensors(self._model, run / BEST)
        self._model.eval()

    @torch.no_grad()
    def speak(self, samples: Float, emotion: str = "neutral") -> Float:
        """Coefficients ``[T, 52]`` at 25 a second of ``samples [N]`` at ``SAMPLE_HZ``, in the average style."""
        heard = self._ear(torch.as_tensor(samples, dtype=torch.float32)[None])
        return spoken(self._model, heard, emotion)
