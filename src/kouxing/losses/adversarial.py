"""L_gan, each made patch against the real one of the same frame and place (methods.md section 4, L_gan).

The relativistic paired form (Jolicoeur-Martineau 2019; Huang et al. 2024): cameras differ far more in sharpness than a
made mouth differs from a real one, so that a critic that sees one picture alone learns about cameras.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def critic_loss(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """Mean over scales of log(1 + exp(D(made) - D(real))): log 2 where critics know nothing, 0 where all."""
    return torch.stack([F.softplus(b - a).mean() for a, b in zip(real, made, strict=True)]).mean()


def generator_loss(real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
    """Mean over scales of log(1 + exp(D(real) - D(made))); ``real`` gets no gradient."""
    return critic_loss(made, [x.detach() for x in real])
