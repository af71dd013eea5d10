"""What the sync discriminator is trained by: true pairs above false ones by a margin (methods.md section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kouxing.models.sync import Discriminator, Judges, mouth_pictures
from kouxing.units import MELS_PER_FRAME


@dataclass(frozen=True)
class Falses:
    """Which pairs count as false.

    Attributes:
        nearest: frames; in the same clip, pairs that lie closer are neither true nor false.
        full: frames from which on the whole margin is wanted; nearer ones want their share of it.
        foreign: weight of the pairs with another clip of the batch (0: none).
    """

    nearest: int = 3
    full: int = 3
    foreign: float = 0.25


def margin_loss(
    mouth: Tensor, speech: Tensor, mask: Tensor, scale: Tensor | float, margin: float, falses: Falses
) -> Tensor:
    """Smooth form of max over false pairs of (sim(false) - sim(true) + margin), both ways.

    log(1 + sum exp(scale * (false - true + margin))): with margin 0 it is the softmax over all time offsets of a clip.

    Args:
        mouth, speech: ``[B, T, D]`` unit vectors of the same moments.
        mask: ``[B, T]``, 1 where the row is to be judged.
        scale: turns cosines into logits.
        margin: by which true pairs have to lead.
        falses: which pairs are false.
    """
    batch, steps, _ = mouth.shape
    sims = torch.einsum("btd,bsd->bts", mouth, speech)
    true = torch.diagonal(sims, dim1=1, dim2=2)
    wanted, shut = _wanted(steps, margin, falses, mouth)
    shut = shut | (mask[:, None, :] < 0.5) | (mask[:, :, None] < 0.5)
    own = (scale * (sims + wanted)).masked_fill(shut, -torch.inf)
    terms = []
    for way in (1, 2):
        logits = own if way == 1 else own.transpose(1, 2)
        if falses.foreign > 0 and batch > 1:
            logits = torch.cat([logits, _foreign(mouth, speech, mask, scale, margin, falses.foreign, way)], 2)
        total = torch.cat([logits, (scale * true)[..., None]], 2)
        terms.append(torch.logsumexp(total, 2) - scale * true)
    each = torch.stack(terms).mean(0)
    return (each * mask).sum() / mask.sum().clamp_min(1.0)


def _wanted(steps: int, margin: float, falses: Falses, like: Tensor) -> tuple[Tensor, Tensor]:
    """Margin ``[T, T]`` by distance in time, and which pairs are none."""
    place = torch.arange(steps, device=like.device)
    apart = (place[:, None] - place[None, :]).abs()
    share = (apart.float() / max(1, falses.full)).clamp(max=1.0)
    return margin * share, apart < falses.nearest


def _foreign(
    mouth: Tensor, speech: Tensor, mask: Tensor, scale: Tensor | float, margin: float, weight: float, way: int
) -> Tensor:
    """Logits ``[B, T, T]`` against the next clip of the batch: another moment even where the speaker is the same."""
    here, there = (mouth, speech) if way == 1 else (speech, mouth)
    sims = torch.einsum("btd,bsd->bts", here, there.roll(1, 0))
    logits = scale * (sims + margin) + torch.log(torch.tensor(weight, device=mouth.device))
    return logits.masked_fill(mask.roll(1, 0)[:, None, :] < 0.5, -torch.inf)


def lag_loss(mouth: Tensor, speech: Tensor, mask: Tensor, scale: Tensor | float, reach: int, near: int) -> Tensor:
    """Cross entropy of the lag at which the similarities, averaged over the window, are highest; it must be 0.

    Args:
        mouth, speech, mask: as for ``margin_loss``.
        scale: turns averaged cosines into logits.
        reach: lags -reach..reach.
        near: lags within so many frames of 0, 0 left out, are not compared.
    """
    sims = torch.einsum("btd,bsd->bts", mouth, speech)
    both = mask[:, :, None] * mask[:, None, :]
    # Each moment of speech resembles some mouths more than others: only what is above that tells the lag.
    centred = (sims - (sims * both).sum(1, keepdim=True) / both.sum(1, keepdim=True).clamp_min(1.0)) * both
    curve = []
    for lag in range(-reach, reach + 1):
        if lag and abs(lag) < near:
            continue
        told = torch.diagonal(centred, lag, 1, 2).sum(1) / torch.diagonal(both, lag, 1, 2).sum(1).clamp_min(1.0)
        curve.append(told)
    logits = scale * torch.stack(curve, 1)
    target = torch.full((len(mouth),), len(curve) // 2, device=mouth.device)
    return F.cross_entropy(logits, target)


def expert_loss(judge: Discriminator | Judges, crops: Tensor, mel: Tensor) -> Tensor:
    """How little the mouths of painted crops are in sync, by a frozen discriminator (methods.md section 4, L_sync).

    Args:
        judge: frozen and in ``eval`` mode; gradients flow through it to ``crops`` only.
        crops: ``[B, S, 3, 256, 256]``, 0..1: S frames in a row, S > 2 * mouth_reach.
        mel: ``[B, M, 80]``: their speech, with as much before as behind it; the ``4 * (S - 2 * mouth_reach + 2 *
            speech_reach)`` in the middle are heard.

    Raises:
        ValueError: it is shorter.
    """
    size = judge.dimensions
    wanted = MELS_PER_FRAME * (crops.shape[1] - 2 * size.mouth_reach + 2 * size.speech_reach)
    beside = mel.shape[1] - wanted
    if beside < 0 or beside % 2:
        raise ValueError(
            f"{crops.shape[1]} frames are judged by {wanted} rows of sound around their middle, got {mel.shape[1]}"
        )
    mouth, speech = judge(mouth_pictures(crops), mel[:, beside // 2 : beside // 2 + wanted])
    return sync_loss(mouth, speech, torch.ones(mouth.shape[:2], device=mouth.device))


def sync_loss(mouth: Tensor, speech: Tensor, true: Tensor) -> Tensor:
    """Binary cross entropy on the cosine, for networks that train against a frozen discriminator.

    Args:
        mouth, speech: ``[..., D]`` unit vectors.
        true: ``[...]``, 1 for pairs in sync.
    """
    cosine = (mouth * speech).sum(-1)
    return F.binary_cross_entropy(((1 + cosine) / 2).clamp(1e-4, 1 - 1e-4), true)
