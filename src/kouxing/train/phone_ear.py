"""Train the phone network of the aligner: mel -> mouth classes, a hundred times a second, in noise too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.audio.features import SILENT_MEL
from kouxing.data.animate import Take
from kouxing.data.phone_ear import UNKNOWN, EarWindows, spoken_words, transcripts
from kouxing.data.phones import PhoneClip
from kouxing.errors import DataError
from kouxing.models.speech import Listener
from kouxing.text.phones import MOUTHS
from kouxing.train import phones
from kouxing.train.loop import BEST, Batch, Figures, Schedule, load_tensors, train
from kouxing.train.origin import origin
from kouxing.train.speech import fresh
from kouxing.types import Float
from kouxing.units import MELS_PER_FRAME

SCHEDULE = Schedule(
    steps=500, batch=24, rate=6e-4, warmup=40, validate_every=125, decay=0.03, ema=0.98, precision="bf16-mixed"
)
FRAMES = 50


@dataclass
class PhoneEarTask:
    """Mouth classes of mel frames."""

    model: Listener
    windows: EarWindows
    held_out: list[PhoneClip]

    def batch(self, number: int) -> Batch:
        return self.windows(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        _, logits, _ = model(batch["mel"])
        loss = F.cross_entropy(logits.float().flatten(0, 1), batch["classes"].flatten(), ignore_index=UNKNOWN)
        return loss, {"phone_ear/loss": loss.detach()}

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        hear = hearing(cast(Listener, model))
        right = total = 0
        for clip in self.held_out:
            made = hear(clip.mel).argmax(1)
            right, total = right + int((made == clip.classes[: len(made)]).sum()), total + len(made)
        return {"val/phones": right / max(1, total), "score": right / max(1, total)}


def hearing(model: Listener) -> Callable[[Float], Float]:
    """The network as a function of mel ``[M, 80]``: log probabilities ``[4 * (M // 4), classes]``."""
    size, device = model.encoder.dimensions, next(model.parameters()).device
    model.eval()

    @torch.no_grad()
    def hear(mel: Float) -> Float:
        whole = len(mel) // MELS_PER_FRAME * MELS_PER_FRAME
        heard = np.pad(mel[:whole], ((size.before_rows, size.after_rows), (0, 0)), constant_values=SILENT_MEL)
        _, logits, _ = model(torch.from_numpy(heard.astype(np.float32))[None].to(device))
        return np.asarray(logits[0].float().log_softmax(-1).cpu().numpy(), np.float32)

    return hear


def start(speech: Path) -> Listener:
    """The phone stage of a ``train speech`` run.

    Raises:
        DataError: the run has none.
    """
    path = speech / "phones" / BEST
    if not path.exists():
        raise DataError(
            f"{speech}: has no phone stage (phones/{BEST}); run `kouxing train speech --out {speech}` first"
        )
    model = fresh()
    load_tensors(model, path)
    return model


def main(
    data: Path, out: Path, speech: Path, takes: list[Take], held_out: list[Take], *, schedule: Schedule = SCHEDULE,
    device: str = "cpu", report: Callable[[str], None] = print,
) -> Listener:  # fmt: skip
    """Go on from the phone stage of the speech encoder, in noise and with the words of the takes that have some.

    Args:
        data: data folder.
        out: run folder.
        speech: run folder of ``train speech``.
        takes, held_out: of splits ``train`` and ``val``.
        schedule, device, report: see ``train.loop.train``.

    Raises:
        DataError: nothing to begin with.
    """
    model = start(speech)
    spoken = phones.load(data, report)
    if spoken is None:
        raise DataError(f"{data}: no speech with phones; pip install 'kouxing[text]'")
    hear = hearing(model)
    words, other = (spoken_words(hear, some, transcripts(data, some)) for some in (takes, held_out))
    groups = {"made": spoken.made, "labelled": spoken.real, "words": words}
    size = model.encoder.dimensions
    windows = EarWindows(
        groups, [take.mel for take in takes if len(take.mel)], FRAMES, schedule.batch,
        (size.before_rows, size.after_rows), schedule.seed,
    )  # fmt: skip
    config = {
        "model": "phone_ear", "dimensions": size.as_dict(), "classes": [mouth.name for mouth in MOUTHS],
        "clips": {name: len(clips) for name, clips in groups.items()}, "origin": origin(data, phones=speech / "phones"),
    }  # fmt: skip
    task = PhoneEarTask(model, windows, [*spoken.held_out, *other])
    return cast(Listener, train(task, schedule, out, device, config, report))
