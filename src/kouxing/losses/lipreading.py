"""L_lipread = -sum Y log P(Y | V): what a lip reader makes of mouths, over all alignments (methods.md section 4); and
how unlike real mouths they are to it, which tells of every frame and of people whose words nobody knows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kouxing.models.lipreader import BLANK, LipReader
from kouxing.models.sync import mouth_pictures


def ctc_loss(log_probs: Tensor, lengths: Tensor, phones: Tensor, counts: Tensor) -> Tensor:
    """Mean over samples of -log P(phones | pictures) per phone; samples without phones do not count.

    Args:
        log_probs: ``[B, T, phones + 1]``, class 0 = blank.
        lengths: ``[B]`` frames.
        phones: ``[B, P]`` places in the phone table, beyond ``counts`` anything.
        counts: ``[B]`` phones of each; 0: not known.
    """
    known = counts > 0
    if not bool(known.any()):
        return log_probs.new_zeros(())
    each = F.ctc_loss(
        log_probs[known].float().transpose(0, 1), phones[known] + 1, lengths[known], counts[known], blank=BLANK,
        reduction="none", zero_infinity=True,
    )  # fmt: skip
    return (each / counts[known]).mean()


def expert_loss(reader: LipReader, crops: Tensor, phones: Tensor, counts: Tensor) -> Tensor:
    """How badly painted mouths are read, by a frozen reader.

    Args:
        reader: frozen and in ``eval`` mode; gradients flow through it to ``crops`` only.
        crops: ``[B, S, 3, 256, 256]``, 0..1: S frames in a row of each clip.
        phones: ``[B, P]`` what is said in them.
        counts: ``[B]`` how many phones; 0 where nobody knows.
    """
    known = counts > 0
    if not bool(known.any()):
        return crops.new_zeros(())
    pictures = mouth_pictures(crops[known])
    lengths = torch.full((len(pictures),), crops.shape[1], dtype=torch.int64, device=crops.device)
    log_probs = reader(pictures, lengths)[0]
    return ctc_loss(log_probs, lengths, phones[known], counts[known])


def feature_loss(reader: LipReader, made: Tensor, real: Tensor) -> Tensor:
    """How unlike real mouths painted ones are to a frozen reader: mean difference of what it makes of each frame, alone
    and among its neighbours, by the mean of the real ones' (0: alike; other frames of the same speech: about 1).

    Args:
        reader: frozen and in ``eval`` mode; gradients flow through it to ``made`` only.
        made, real: crops ``[B, S, 3, 256, 256]``, 0..1, of the same frames.
    """
    lengths = torch.full((len(made),), made.shape[1], dtype=torch.int64, device=made.device)
    with torch.no_grad():
        goal = reader.look(mouth_pictures(real), lengths)
        goals = [goal, reader.neighbours(goal, lengths)]
    seen = reader.look(mouth_pictures(made), lengths)
    pairs = zip([seen, reader.neighbours(seen, lengths)], goals, strict=True)
    return torch.stack([(one - other).abs().mean() / other.abs().mean() for one, other in pairs]).mean()
