"""The contrastive loss that ``multimodal``'s shared space is compared by."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from kouxing.losses.motion import masked_mean

HEAT = 0.1


def contrastive(drawn: Sequence[Tensor], present: Tensor) -> Tensor:
    """Features of one moment are nearer than those of other moments of the sample (InfoNCE, both ways).

    Args:
        drawn: unit vectors ``[B, T, D]`` of each modality.
        present: ``[B, T, modalities]``; a pair counts where both are there.
    """
    total = present.new_zeros(())
    for one, other in combinations(range(len(drawn)), 2):
        both = present[..., one] * present[..., other]
        alike = drawn[one] @ drawn[other].transpose(1, 2) / HEAT
        alike = alike.masked_fill(both[:, None] < 0.5, -1e4)
        own = torch.arange(alike.shape[1], device=alike.device).expand(len(alike), -1)
        for table in (alike, alike.transpose(1, 2)):
            total = total + masked_mean(F.cross_entropy(table.transpose(1, 2), own, reduction="none"), both)
    return total
