"""One stage of the sync discriminator: model, windows, loss, and the margin that grows while validation holds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kouxing.data.mouths import Mouths
from kouxing.eval.sync_metrics import gap, pair_figures
from kouxing.face import geometry
from kouxing.face.offset import similarities
from kouxing.losses.motion import geometry_error
from kouxing.losses.sync import Falses, lag_loss, margin_loss
from kouxing.models.sync import Discriminator, Judges, Pupil
from kouxing.train.loop import Batch, Figures
from kouxing.types import Bytes, Float

WEIGHTS = {"pairs": 1.0, "lag": 0.5, "mouth_geometry": 0.5, "speech_geometry": 0.5}
LAG_REACH = 12
"""Lags of ``lag_loss``, in a window of 20 rows."""
HISTORY = "history.jsonl"
AVERAGED = 5.0
"""Similarities averaged over a window differ less than single ones: their logits are so much steeper."""


@dataclass(frozen=True)
class Growth:
    """How the margin grows (methods.md section 3, stage 2).

    Attributes:
        start: the margin at the beginning; None: the one that the stage before reached.
        step: by which it is raised each time validation holds it.
        goal: beyond which it is not raised.
    """

    start: float | None = 0.0
    step: float = 0.0
    goal: float = 0.0


@dataclass
class SyncTask:
    """One stage.

    Attributes:
        model: what is trained.
        windows: batch number -> batch.
        held_out: clips that validation measures.
        falses: which pairs count as false.
        growth: how the margin grows.
    """

    model: Pupil
    windows: Callable[[int], Batch]
    held_out: Sequence[Mouths]
    falses: Falses
    growth: Growth

    def __post_init__(self) -> None:
        scale = geometry.basis()[1]
        self._scale = torch.from_numpy(scale / scale[0])

    def batch(self, number: int) -> Batch:
        return self.windows(number)

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        judge = self.model.judge
        mouth, speech, seen, heard = model(batch["pictures"].float() / 255.0, batch["mel"])
        mask, margin, scale = batch["mask"], float(self.model.margin), judge.scale
        basis = self._scale.to(mask.device)
        known, real = batch["known"], batch["geometry"]
        terms = {
            "pairs": margin_loss(mouth, speech, mask, scale, margin, self.falses),
            "lag": lag_loss(mouth, speech, mask, AVERAGED * scale, LAG_REACH, self.falses.nearest),
            "mouth_geometry": geometry_error(seen.float(), real, known, basis),
            "speech_geometry": geometry_error(heard.float(), real, known, basis),
        }
        loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
        told = {f"sync/{name}": value.detach() for name, value in terms.items()}
        return loss, told | {"sync/margin": margin, "sync/scale": scale.detach(), "sync/loss": loss.detach()}

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        assert isinstance(model, Pupil)
        found = measured(model.judge, self.held_out)
        margin = float(self.model.margin)
        if self.growth.step and found["val/gap"] >= margin and margin + self.growth.step <= self.growth.goal + 1e-6:
            self.model.margin.fill_(margin + self.growth.step)
        with (folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "margin": margin, **found}) + "\n")
        return found | {"val/margin": margin}


def history(folder: Path) -> list[dict[str, float]]:
    """What the validations of a stage found, by step; the last word counts where a run was resumed."""
    path = folder / HISTORY
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for _, row in sorted({row["step"]: row for row in rows}.items())]


def measured(model: Discriminator | Judges, held_out: Sequence[Mouths]) -> dict[str, float]:
    """AUC of 5-frame pairs by group, mean similarities of true and false pairs, and a score."""
    groups: dict[str, list[tuple[Float, Float]]] = {}
    for clip in held_out:
        sims = similarities(*embed(model, clip))
        groups.setdefault(clip.clip.group, []).append(pair_figures(sims))
    figures: dict[str, float] = {}
    for name, pairs in groups.items():
        true, false = (np.concatenate(side) for side in zip(*pairs, strict=True))
        figures[f"val/auc_{name}"], figures[f"val/true_{name}"], figures[f"val/false_{name}"] = gap(true, false)
    told = {name: figures[f"val/auc_{name}"] for name in groups}
    strangers = [told[name] for name in ("words", "wild") if name in told]
    figures["val/gap"] = float(np.mean([figures[f"val/true_{n}"] - figures[f"val/false_{n}"] for n in groups]))
    # Speakers never seen count; held-out sentences of the training speaker only break ties.
    figures["score"] = float(np.mean(strangers)) + 0.2 * told.get("grid", 0.0) if strangers else told["grid"]
    return figures


@torch.no_grad()
def embed(model: Discriminator | Judges, clip: Mouths) -> tuple[Float, Float]:
    """Unit vectors of a clip's mouth and speech, ``[T, D]`` each; NaN where a window reaches beyond the clip."""
    return embed_mouths(model, clip.pictures), embed_speech(model, clip.mel)


@torch.no_grad()
def embed_mouths(model: Discriminator | Judges, pictures: Bytes) -> Float:
    """``[T, 48, 64] uint8`` -> ``[T, D]``, NaN at both ends."""
    model.eval()
    reach, size = model.dimensions.mouth_reach, model.dimensions.features
    if len(pictures) < 2 * reach + 1:
        return np.full((len(pictures), size), np.nan, np.float32)
    device = next(model.parameters()).device
    rows = model.mouth(torch.from_numpy(np.ascontiguousarray(pictures)).to(device)[None].float() / 255.0)[0]
    return framed(rows.float().cpu().numpy(), reach)


@torch.no_grad()
def embed_speech(model: Discriminator | Judges, mel: Float) -> Float:
    """``[4T, 80]`` -> ``[T, D]``, NaN at both ends."""
    model.eval()
    reach, size = model.dimensions.speech_reach, model.dimensions.features
    frames = len(mel) // model.dimensions.rate
    if frames < 2 * reach + 1:
        return np.full((frames, size), np.nan, np.float32)
    device = next(model.parameters()).device
    rows = model.speech(torch.from_numpy(np.ascontiguousarray(mel)).to(device)[None])[0]
    return framed(rows.float().cpu().numpy(), reach)


def framed(rows: Float, reach: int) -> Float:
    """``reach`` rows of NaN before and behind."""
    ends = np.full((reach, rows.shape[1]), np.nan, np.float32)
    return np.concatenate([ends, rows, ends])
