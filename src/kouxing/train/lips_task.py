"""What training the generator minimises: its loss table, batches, critics and frozen experts; and how it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.data.footage import Footage
from kouxing.data.lips import LipsSamples
from kouxing.errors import OptionError
from kouxing.face.landmarks import GAP_LOWER, GAP_UPPER
from kouxing.losses import adversarial, image, lipreading
from kouxing.losses.sync import expert_loss
from kouxing.models.critics import Critics, frozen
from kouxing.models.lipreader import LipReader
from kouxing.models.lips import Lips
from kouxing.models.shape import ShapeReader, opening
from kouxing.models.sync import Discriminator, Judges
from kouxing.train.lips_held_out import held_out_sample, judged, likeness, painted, sheet, some
from kouxing.train.loop import Batch, Figures, optimiser_memory, remind
from kouxing.train.teacher import Teacher
from kouxing.types import Float
from kouxing.units import HALF_PX

WEIGHTS = {
    "reconstruction": 4.0,
    "squared": 0.0,
    "gradient": 2.0,
    "texture": 16.0,
    "difference": 2.0,
    "indecision": 0.3,
    "perceptual": 1.0,
    "landmarks": 1.0,
    "warp": 3.0,
    "sync": 0.3,
    "lipread": 0.2,
    "lipread_features": 1.0,
    "gan": 0.0,
    "teacher": 8.0,
}
"""The loss table; 0 switches a term off. ``sync``, ``lipread`` and ``lipread_features`` count where a frozen expert is
given, ``teacher`` where a teacher is."""
RUN, JUDGED_RUN, READ_RUN = 2, 5, 14
"""S: frames in a row; the frame difference needs 2, a discriminator of 5-frame windows the second, a word the third."""
EXPERT_EVERY = 2
"""Every so-manieth batch is of the experts' longer runs: the shorter ones show more faces in as many frames."""
UNPAIRED_SHARE = 0.35
"""Of those batches, how many say what another clip says, as dubs do: experts and critics alone can judge them."""
GAN_FROM, GAN_WARMUP = 0.5, 0.1
"""From which share of the steps on critics are trained, and how long alone: what is still blurred is no adversary."""
CRITIC_RATE = 4e-4

LAYERS = 3
"""Feature maps of the shape reader that the perceptual loss compares: those that still show texture."""


@dataclass
class LipsTask:
    """Model, data, losses and held-out clips of the generator.

    A loss counts where the table gives it a weight and what it needs is there.

    Attributes:
        expert_samples: the batches that frozen experts judge; None: there are none.
    """

    model: Lips
    samples: LipsSamples
    reader: ShapeReader | None
    held_out: list[tuple[Footage, Float]]
    vgg19: image.Vgg19 | None = None
    judge: Discriminator | Judges | None = None
    weights: Mapping[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    lipreader: LipReader | None = None
    gan_from: float = GAN_FROM
    expert_samples: LipsSamples | None = None
    teacher: Teacher | None = None
    critics: Critics = field(init=False)

    def __post_init__(self) -> None:
        self.critics = Critics()
        self._critic_steps = torch.optim.Adam(self.critics.parameters(), CRITIC_RATE, betas=(0.5, 0.9))
        # In bf16 the backward convolutions are about four times as fast in this layout, on CPU and GPU alike.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.reader is not None:
            self.reader.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batch(self, number: int) -> Batch:
        own_turn = self.expert_samples is not None and number % EXPERT_EVERY == 0
        batch = self.expert_samples(number) if self.expert_samples is not None and own_turn else self.samples(number)
        if self.teacher is not None:
            batch["taught"] = self.teacher(batch)
        return {
            name: x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for name, x in batch.items()
        }

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        made, trust, flow = model(batch["frame"], batch["references"], batch["audio"], batch["own"], batch["stances"])
        made, real = made.float(), batch["real"]
        weight = F.interpolate(batch["region"], real.shape[2:], mode="bilinear", align_corners=False)
        terms = {"indecision": image.indecision(trust, batch["region"])}
        if bool(batch["paired"]):
            terms |= {
                "reconstruction": image.reconstruction(made, real, weight),
                "squared": image.squared(made, real, weight),
                "gradient": image.gradient(made, real, weight),
                "texture": image.texture(made, real, weight),
                "difference": image.frame_difference(made, real, weight, len(made) // len(batch["mel"])),
                "warp": image.misplaced(flow, batch["places"]),
            }
        if self.teacher is not None and self._counts("teacher"):
            taught = batch["taught"]
            slopes = image.gradient(made, taught, weight) + image.finest(made, taught, weight)
            terms["teacher"] = image.reconstruction(made, taught, weight) + slopes / 2
        # Everything outside the face is never pasted: readers see the real thing there.
        inside = (weight / weight.amax((1, 2, 3), keepdim=True) * 4).clamp(max=1.0)
        seen = real + (made - real) * inside
        terms |= self._read(seen, real, batch)
        told: dict[str, Tensor] = {}
        if self._counts("gan") and progress >= self.gan_from:
            terms["gan"], told["lips/critics"] = self._adversaries(seen, real, progress)
        loss = torch.stack([self.weights[name] * value for name, value in terms.items() if self._counts(name)]).sum()
        told |= {f"lips/{name}": value.detach() for name, value in terms.items()}
        return loss, told | {"lips/loss": loss.detach()}

    def _adversaries(self, seen: Tensor, real: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """One step of the critics; then how little they believe the painted, from 0 up over ``GAN_WARMUP``."""
        self.critics.to(seen.device).train()
        with torch.autocast(seen.device.type, enabled=False):
            believed = self.critics(real)
            loss = adversarial.critic_loss(believed, self.critics(seen.detach()))
            self._critic_steps.zero_grad(set_to_none=True)
            loss.backward()
            self._critic_steps.step()
            share = min(1.0, max(0.0, (progress - self.gan_from) / GAN_WARMUP - 0.5))
            return share * adversarial.generator_loss(believed, frozen(self.critics, seen)), loss.detach()

    def _counts(self, name: str) -> bool:
        return self.weights.get(name, 0.0) > 0

    def _read(self, seen: Tensor, real: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What other networks say of the painted lower halves ``seen``."""
        terms: dict[str, Tensor] = {}
        wanted = self._counts("landmarks") or self._counts("perceptual")
        if self.reader is not None and wanted and bool(batch["paired"]):
            maps = self.reader.maps(seen)
            landmarks = self.reader.landmarks(maps[-1])
            gaps = [opening(points, GAP_LOWER, GAP_UPPER) for points in (landmarks, batch["lips"])]
            terms["landmarks"] = (landmarks - batch["lips"]).abs().mean() + 2 * (gaps[0] - gaps[1]).abs().mean()
            if self._counts("perceptual"):
                terms["perceptual"] = self._perceptual(self.reader, seen, real, maps)
        if self.judge is not None and self._counts("sync") and _run(batch) >= JUDGED_RUN:
            terms["sync"] = self._sync(self.judge, seen, batch)
        if self.lipreader is not None and "phones" in batch:
            terms |= self._lipread(self.lipreader.to(seen.device), seen, real, batch)
        return terms

    def _lipread(self, reader: LipReader, seen: Tensor, real: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What a lip reader says of them."""
        terms: dict[str, Tensor] = {}
        crops = self._crops(seen, batch)
        with torch.autocast(seen.device.type, enabled=False):
            if self._counts("lipread"):
                terms["lipread"] = lipreading.expert_loss(reader, crops, batch["phones"], batch["counts"])
            if self._counts("lipread_features") and bool(batch["paired"]):
                terms["lipread_features"] = lipreading.feature_loss(reader, crops, self._crops(real, batch))
        return terms

    @staticmethod
    def _crops(lower: Tensor, batch: Batch) -> Tensor:
        """Crops ``[clips, S, 3, 256, 256]`` of lower halves ``[clips * S, 3, 128, 256]``, as mouth pictures show."""
        above = F.pad(batch["above"], (0, 0, HALF_PX - batch["above"].shape[2], 0))
        crops = torch.cat([above, lower], 2)
        return crops.reshape(len(batch["mel"]), -1, *crops.shape[1:])

    @classmethod
    def _sync(cls, judge: Discriminator | Judges, lower: Tensor, batch: Batch) -> Tensor:
        """L_sync of painted lower halves ``[clips * S, 3, 128, 256]``; mouth pictures start a little above them."""
        # Whatever the rest runs in: a frozen judge in half precision judges noise.
        with torch.autocast(lower.device.type, enabled=False):
            crops = cls._crops(lower, batch)
            return expert_loss(judge.to(crops.device), crops, batch["mel"])

    def _perceptual(self, reader: ShapeReader, made: Tensor, real: Tensor, maps: list[Tensor]) -> Tensor:
        """L_perc at scales 1, 1/2, 1/4: of VGG-19 where the user has it, else of the shape reader."""
        if self.vgg19 is not None:
            return image.perceptual(made, real, self.vgg19)
        # The reader has looked at scale 1 already.
        with torch.no_grad():
            goal = reader.maps(real)[:LAYERS]
        whole = image.feature_difference(maps[:LAYERS], goal)
        return (whole + 2 * image.perceptual(made, real, lambda x: reader.maps(x)[:LAYERS], (2, 4))) / 3

    def sample(self, clip: Footage, heard: Float, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Inputs for some frames of a held-out clip, with the real lower halves."""
        return held_out_sample(clip, heard, frames, self.model.dimensions)

    def memory(self) -> dict[str, Tensor]:
        """The critics, and what their optimiser remembers."""
        if not self._counts("gan"):
            return {}
        kept = {f"critics/{name}": value for name, value in self.critics.state_dict().items()}
        return kept | {f"steps/{name}": value for name, value in optimiser_memory(self._critic_steps).items()}

    def remember(self, kept: dict[str, Tensor]) -> None:
        """Take back what ``memory`` gave."""
        parts: dict[str, dict[str, Tensor]] = {"critics": {}, "steps": {}}
        for key, value in kept.items():
            part, name = key.split("/", 1)
            if part in parts:
                parts[part][name] = value
        if parts["critics"]:
            # First the device: an optimiser's memory follows its parameters only when it is loaded.
            self.critics.to(next(self.model.parameters()).device).load_state_dict(parts["critics"])
            remind(self._critic_steps, parts["steps"])

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        assert self.reader is not None
        rows, sheets = [], []
        for clip, heard in self.held_out:
            frames = some(clip)
            sample = self.sample(clip, heard, frames)
            made, real = painted(model, sample)
            rows.append(likeness(self.reader, made, real, clip, frames))
            if self.teacher is not None:
                taught = self.teacher({name: torch.from_numpy(value) for name, value in sample.items()})
                rows[-1]["teacher"] = float((made.cpu() - taught).abs().mean())
            sheets.append(sheet(real, made))
        cv2.imwrite(str(folder / f"samples-{step:06d}.png"), cv2.cvtColor(np.vstack(sheets[:10]), cv2.COLOR_RGB2BGR))
        told = judged(rows)
        # Whoever has a teacher is to paint as it does.
        return told if self.teacher is None else told | {"score": -told["val/teacher"]}


def loss_table(changes: Mapping[str, float]) -> dict[str, float]:
    """``WEIGHTS`` with some rows changed.

    Raises:
        OptionError: a term is unknown, or its weight is no number of at least 0.
    """
    for name, value in changes.items():
        if name not in WEIGHTS:
            raise OptionError(f"--weight {name}: no such loss; choose from {', '.join(WEIGHTS)}")
        if not 0 <= value < float("inf"):
            raise OptionError(f"--weight {name}={value}: give a number of at least 0")
    return {**WEIGHTS, **changes}


def _run(batch: Batch) -> int:
    """S of a batch."""
    return len(batch["frame"]) // len(batch["mel"])
