"""L_lipread = -sum Y log P(Y | V): what a lip reader makes of mouths, over all alignments (methods.md section 4)."""

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
