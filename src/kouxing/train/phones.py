"""Teach the speech encoder's trunk phones first: synthesis in many languages, and real recordings with labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.audio.features import SILENT_MEL
from kouxing.data.footage import Footage, cache_folder
from kouxing.data.phones import PhoneClip, cached, clip_of, load_labelled, set_apart, synthesise_people
from kouxing.data.speech import UNKNOWN, Noises, PhoneWindows
from kouxing.errors import OptionError
from kouxing.models.speech import Listener
from kouxing.text.phones import CLASS, MOUTHS
from kouxing.train.loop import Batch, Figures, Schedule, train
from kouxing.units import MELS_PER_FRAME

SCHEDULE = Schedule(
    steps=900, batch=32, rate=1e-3, warmup=100, validate_every=150, decay=0.03, ema=0.99, precision="bf16-mixed"
)
UTTERANCES = 2500
"""What espeak-ng synthesises: about 100 minutes, in under a minute."""
PEOPLE = 2500
"""What MBROLA does: as much, in five minutes."""
FRAMES = 50
"""Window in video frames."""


@dataclass(frozen=True)
class PhoneData:
    """Speech with phones: synthesised, labelled, and labelled but held out."""

    made: list[PhoneClip]
    real: list[PhoneClip]
    held_out: list[PhoneClip]


def load(data: Path, report: Callable[[str], None] = print) -> PhoneData | None:
    """Synthesise (once; kept in the cache) and read the labels; None, with a line that says why, without either."""
    labelled = load_labelled(data, clip_of)
    try:
        folder = cache_folder(data).parent
        if not (folder / "phones.npz").exists():
            report("speech with phones is synthesised, once for all runs: up to six minutes")
        made = cached(folder / "phones.npz", UTTERANCES, seed=0)
        people = cached(folder / "phones-people.npz", PEOPLE, seed=0, make=partial(synthesise_people, of=clip_of))
        if not people:
            report("no voices of real people to learn phones from: MBROLA and its voices are not installed")
        made = made + people
    except OptionError as error:
        report(f"no synthetic speech: {error}")
        made = []
    if not made and not labelled:
        report("phones are not taught: neither espeak-ng nor labelled recordings are there")
        return None
    return PhoneData(*set_apart(made, labelled))


@dataclass
class PhoneTask:
    """Frame-wise mouth classes."""

    model: Listener
    windows: PhoneWindows
    held_out: list[PhoneClip]

    def batch(self, number: int) -> Batch:
        return self.windows(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        _, logits, _ = model(batch["phone_mel"])
        loss = phone_loss(logits, batch["classes"])
        return loss, {"phones/loss": loss.detach()}

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        right = total = 0
        hits = told = real = 0
        lips = CLASS["bilabial"]
        for clip in self.held_out:
            made = hear_classes(cast(Listener, model), clip.mel)
            wanted = clip.classes[: len(made)]
            right, total = right + int((made == wanted).sum()), total + len(made)
            hits += int(((made == lips) & (wanted == lips)).sum())
            told, real = told + int((made == lips).sum()), real + int((wanted == lips).sum())
        accuracy = right / max(1, total)
        return {"val/phones": accuracy, "val/bilabial_f1": 2 * hits / max(1, told + real), "score": accuracy}


def phone_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross entropy of ``[B, M, classes]`` with ``[B, M]``; ``UNKNOWN`` steps do not count."""
    return F.cross_entropy(logits.float().flatten(0, 1), classes.flatten(), ignore_index=UNKNOWN)


@torch.no_grad()
def hear_classes(model: Listener, mel: np.ndarray) -> np.ndarray:
    """The likeliest mouth class of each mel frame ``[4 * (M // 4)]`` of ``mel [M, 80]``."""
    model.eval()
    device = next(model.parameters()).device
    size = model.encoder.dimensions
    whole = len(mel) // MELS_PER_FRAME * MELS_PER_FRAME
    heard = np.pad(mel[:whole], ((size.before_rows, size.after_rows), (0, 0)), constant_values=SILENT_MEL)
    _, logits, _ = model(torch.from_numpy(heard)[None].to(device))
    return np.asarray(logits[0].argmax(-1).cpu().numpy())


def pretrain(
    model: Listener,
    phones: PhoneData,
    footage: list[Footage],
    out: Path,
    *,
    device: str = "cpu",
    schedule: Schedule = SCHEDULE,
    report: Callable[[str], None] = print,
) -> None:
    """Teach ``model`` phones, in place; the same call resumes.

    Args:
        model: trunk and heads.
        phones: see ``load``.
        footage: its sound is the background noise.
        out: run folder.
        device, schedule, report: see ``train.loop.train``.
    """
    size = model.encoder.dimensions
    around = (size.before_rows, size.after_rows)
    windows = PhoneWindows(phones.made, phones.real, Noises(footage), FRAMES, schedule.batch, around, schedule.seed)
    config = {
        "model": "phones",
        "dimensions": model.encoder.dimensions.as_dict(),
        "classes": [mouth.name for mouth in MOUTHS],
        "utterances": len(phones.made),
        "labelled": len(phones.real),
    }
    best = train(PhoneTask(model, windows, phones.held_out), schedule, out, device, config, report)
    model.load_state_dict(best.state_dict())
