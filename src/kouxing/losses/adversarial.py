"""L_gan in its hinge form: critics tell real from made patches, the generator makes them fail (methods.md 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def critic_loss(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """Mean over scales of max(0, 1 - D(real)) + max(0, 1 + D(made)): 2 where critics know nothing, 0 where all."""
    rows = [torch.relu(1 - a).mean() + torch.relu(1 + b).mean() for a, b in zip(real, made, strict=True)]
    return torch.stack(rows).mean()


def generator_loss(made: Sequence[Tensor]) -> Tensor:
    """Mean over scales of -D(made)."""
    return -torch.stack([x.mean() for x in made]).mean()
