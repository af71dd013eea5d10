"""Train the phone network of the aligner: what the front hears -> mouth classes, a hundred a second, in noise too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.audio.front import WIDTH, Front
from kouxing.data import phone_sounds
from kouxing.data.animate import Take
from kouxing.data.front import FrontSounds
from kouxing.data.phone_ear import SHARES, UNKNOWN, EarWindows, checksum, spoken_words, transcripts
from kouxing.data.phone_sounds import PhoneRows
from kouxing.errors import DataError
from kouxing.models.speech import Listener, SpeechDimensions, SpeechEncoder
from kouxing.text.phones import MOUTHS
from kouxing.train.loop import Batch, Figures, Schedule, train
from kouxing.train.origin import origin
from kouxing.types import Float

SCHEDULE = Schedule(
    steps=800, batch=24, rate=1e-3, warmup=50, validate_every=100, decay=0.03, ema=0.98, precision="bf16-mixed"
)
FIRST_STEPS = 300
"""Without words, which it then places in the footage."""
FRAMES, VERSIONS = 50, 3
DIMENSIONS = SpeechDimensions(bands=WIDTH, steps=1)


@dataclass
class PhoneEarTask:
    """Mouth classes of mel frames."""

    model: Listener
    windows: EarWindows
    held_out: Sequence[PhoneRows]

    def batch(self, number: int) -> Batch:
        return self.windows(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        _, logits, _ = model(batch["heard"])
        loss = F.cross_entropy(logits.float().flatten(0, 1), batch["classes"].flatten(), ignore_index=UNKNOWN)
        return loss, {"phone_ear/loss": loss.detach()}

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        hear = hearing(cast(Listener, model))
        right = total = 0
        for one in self.held_out:
            made = hear(one.versions[0].astype(np.float32)).argmax(1)
            right, total = right + int((made == one.classes).sum()), total + len(made)
        return {"val/phones": right / max(1, total), "score": right / max(1, total)}


def fresh(seed: int = 0, size: SpeechDimensions = DIMENSIONS) -> Listener:
    """A network that has learned nothing."""
    torch.manual_seed(seed)
    return Listener(SpeechEncoder(size), len(MOUTHS), 1)


@torch.no_grad()
def heard(model: Listener, rows: Float) -> tuple[Float, Float]:
    """Log probabilities ``[4T, classes]`` and trunk ``[T, W]`` of the front's rows ``[T, WIDTH]``."""
    size, device = model.encoder.dimensions, next(model.parameters()).device
    model.eval()
    around = np.pad(rows, ((size.before_rows, size.after_rows), (0, 0))).astype(np.float32)
    trunk, _ = model.encoder.trunk(torch.from_numpy(around)[None].to(device), model.encoder.initial_state(1))
    logits = model.classes(trunk).reshape(-1, len(MOUTHS))
    return logits.float().log_softmax(-1).cpu().numpy(), trunk[0].float().cpu().numpy()


def hearing(model: Listener) -> Callable[[Float], Float]:
    """The network as a function of the front's rows ``[T, WIDTH]``: log probabilities ``[4T, classes]``."""
    return lambda rows: heard(model, rows)[0]


def main(
    data: Path, out: Path, takes: list[Take], held_out: list[Take], *, texts: Path | None = None,
    schedule: Schedule = SCHEDULE, device: str = "cpu", report: Callable[[str], None] = print,
) -> Listener:  # fmt: skip
    """Train on speech with phones, first alone, then with the words that the network places in footage.

    Args:
        data: data folder.
        out: run folder; the first part lies in ``first`` in it.
        takes, held_out: of splits ``train`` and ``val``.
        texts: folder of further transcripts (``data.phone_ear.transcripts``).
        schedule, device, report: see ``train.loop.train``.

    Raises:
        DataError: nothing to begin with. WeightError: the front is missing.
    """
    front = Front()
    sounds, spoken = FrontSounds(data, front), phone_sounds.load(data, report)
    if not spoken.made:
        raise DataError(f"{data}: no speech with phones; pip install 'kouxing[text]'")
    groups = {
        name: phone_sounds.hear(some, front, count, schedule.seed, out / f"{name}.npz", report)
        for name, some, count in (
            ("made", spoken.made, VERSIONS), ("labelled", spoken.labelled, VERSIONS), ("held_out", spoken.held_out, 1)
        )
    }  # fmt: skip
    judged = groups.pop("held_out")
    config = {
        "model": "phone_ear", "dimensions": DIMENSIONS.as_dict(), "classes": [mouth.name for mouth in MOUTHS],
        "front": front.card["sha256"], "origin": origin(data),
    }  # fmt: skip

    def run(model: Listener, folder: Path, plan: Schedule) -> Listener:
        size = model.encoder.dimensions
        windows = EarWindows(groups, FRAMES, plan.batch, (size.before_rows, size.after_rows), plan.seed)
        told = config | {"clips": {name: len(groups.get(name, [])) for name in SHARES}}
        return cast(Listener, train(PhoneEarTask(model, windows, judged), plan, folder, device, told, report))

    model = run(fresh(schedule.seed), out / "first", replace(schedule, steps=min(FIRST_STEPS, schedule.steps)))
    hear, said = hearing(model), [transcripts(data, some, texts) for some in (takes, held_out)]
    config["texts"] = [checksum(one) for one in said]
    words, other = (spoken_words(hear, some, one, sounds) for some, one in zip((takes, held_out), said, strict=True))
    report(f"{len(words)} takes with words")
    groups["words"] = phone_sounds.hear(words, front, VERSIONS, schedule.seed, out / "words.npz", report)
    judged = [*judged, *phone_sounds.hear(other, front, 1, schedule.seed, out / "words-held-out.npz", report)]
    return run(model.requires_grad_(True), out, schedule)
