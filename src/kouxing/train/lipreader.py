"""Train the lip reader on the transcribed footage: a frozen expert for ``lips``, and, with another seed, its judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.data.grid import PHONES, Word, phones_of, transcripts
from kouxing.data.lipreading import LipReadingSamples
from kouxing.data.mouths import Mouths, load_mouths
from kouxing.errors import DataError
from kouxing.eval.lipreading import error_rate, grammar_words, greedy, log_probs
from kouxing.face import geometry
from kouxing.losses.lipreading import ctc_loss
from kouxing.losses.motion import geometry_error
from kouxing.models.lipreader import LipReader, LipReaderDimensions
from kouxing.train.card import learned_from
from kouxing.train.loop import Batch, Figures, Schedule, train
from kouxing.train.origin import origin

WEIGHTS = {"phones": 1.0, "timed": 1.0, "geometry": 0.3}
SCHEDULE = Schedule(steps=2000, batch=10, rate=1.5e-3, warmup=60, validate_every=150, ema=0.99, clip=2.0)


@dataclass
class LipReaderTask:
    """Model, stretches, losses and held-out sentences of the reader."""

    model: LipReader
    samples: Callable[[int], Batch]
    held_out: Sequence[Mouths]
    words: Mapping[str, Sequence[Word]]

    def __post_init__(self) -> None:
        scale = geometry.basis()[1]
        self._scale = torch.from_numpy(scale / scale[0])

    def batch(self, number: int) -> Batch:
        return self.samples(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        log_probs, timed, seen = model(batch["pictures"].float() / 255.0, batch["lengths"])
        terms = {
            "phones": ctc_loss(log_probs, batch["lengths"], batch["phones"], batch["counts"]),
            "timed": self._timed(timed.float(), batch["labels"]),
            "geometry": geometry_error(seen.float(), batch["geometry"], batch["known"], self._scale.to(seen.device)),
        }
        loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
        return loss, {f"lipreader/{name}": value.detach() for name, value in terms.items()}

    @staticmethod
    def _timed(logits: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy of the phone of each frame, where it is known."""
        total = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-1, reduction="sum")
        return total / (labels >= 0).sum().clamp(min=1)

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        assert isinstance(model, LipReader)
        found = errors(model, self.held_out, self.words)
        return {**{f"val/{name}": value for name, value in found.items()}, "score": -found["phone_error"]}


def errors(model: LipReader, clips: Sequence[Mouths], words: Mapping[str, Sequence[Word]]) -> dict[str, float]:
    """Phone and word error rates over whole clips whose words are known; the words by GRID's grammar."""
    phones, said = [], []
    for clip in clips:
        if clip.clip.id not in words:
            continue
        real = tuple(words[clip.clip.id])
        found = log_probs(model, clip.pictures)
        phones.append((greedy(found), phones_of(real)))
        said.append((grammar_words(found), tuple(word.text for word in real)))
    return {"phone_error": error_rate(phones), "word_error": error_rate(said)}


def main(
    data: Path,
    out: Path,
    *,
    device: str = "cpu",
    schedule: Schedule | None = None,
    report: Callable[[str], None] = print,
) -> LipReader:
    """Train on ``data``'s train split; the same command resumes. Prints the errors on held-out sentences at the end.

    Args:
        data: data folder with transcripts (``data.grid``).
        out: run folder.
        device: see ``train.loop.train``.
        schedule: instead of ``SCHEDULE``.
        report: where progress lines go.

    Returns:
        The best averaged reader.

    Raises:
        DataError: no clip has a transcript.
    """
    schedule = schedule or SCHEDULE
    words = transcripts(data)
    samples = LipReadingSamples(load_mouths(data, "train"), words, schedule.batch, schedule.seed)
    held_out = [clip for clip in load_mouths(data, "val") if clip.clip.id in words]
    if not held_out:
        raise DataError(f"{data}: no clip of split 'val' has a transcript")
    torch.manual_seed(schedule.seed)
    model = LipReader(LipReaderDimensions(len(PHONES)))
    task = LipReaderTask(model, samples, held_out, words)
    config = {
        "model": "lipreader",
        "dimensions": model.dimensions.as_dict(),
        "weights": WEIGHTS,
        "origin": origin(data),
    }
    # It has no card: nothing but training reads it. What that makes descends from the same.
    best = cast(LipReader, train(task, schedule, out, device, config, report, sources=learned_from(data)))
    for split in ("val", "test-person", "test"):
        try:
            clips = load_mouths(data, split)
        except DataError:
            continue
        known = [clip for clip in clips if clip.clip.id in words]
        if known:
            found = errors(best, known, words)
            report(f"{split}: {len(known)} sentences  " + "  ".join(f"{k} {v:.3f}" for k, v in found.items()))
    return best
