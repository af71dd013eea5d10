"""Multi-scale image discriminators D_j for L_gan (methods.md section 4): small, patch by patch, on the lower face.

Only training needs them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SCALES = (1, 2)
WIDTHS = (24, 48, 96)
TOP, LEFT, BOTTOM, RIGHT = 0, 48, 112, 208
"""Of the painted half ``[128, 256]``: mouth, cheeks' lower part and chin; what lies around is never pasted."""


DETAIL = 4.0
"""By how much the finest detail is raised: it is what painted skin lacks, and too faint beside the colours."""


class Critic(nn.Module):
    """Pictures ``[N, 3, H, W]``, 0..1 -> how real each patch is ``[N, 1, H / 8, W / 8]``, unbounded."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 4
        for width in widths:
            # Bounded slopes keep the generator's gradients of one size from the first step on (Miyato et al. 2018).
            layers += [spectral_norm(nn.Conv2d(before, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
            before = width
        # The last layer is free: four bounded ones in a row never reach the hinge's 1.
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(1, keepdim=True)
        around = F.avg_pool2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), 3, 1)
        return self.layers(torch.cat([2 * x - 1, DETAIL * (grey - around)], 1))


class Critics(nn.Module):
    """One critic a scale.

    Args:
        scales: factors by which pictures are made smaller.
        widths: channels of each.
    """

    def __init__(self, scales: Sequence[int] = SCALES, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.members = nn.ModuleList(Critic(widths) for _ in scales)

    def forward(self, lower: Tensor) -> list[Tensor]:
        """Painted or real lower halves ``[N, 3, 128, 256]`` -> what each scale says of each patch."""
        part = lower[:, :, TOP:BOTTOM, LEFT:RIGHT]
        return [
            member(F.avg_pool2d(part, scale) if scale > 1 else part)
            for member, scale in zip(self.members, self.scales, strict=True)
        ]


def frozen(critics: Critics, lower: Tensor) -> list[Tensor]:
    """As ``critics(lower)``, with gradients to the pictures only."""
    held = {name: value.detach() for name, value in critics.named_parameters()}
    was = critics.training
    # Power iteration of the spectral norm belongs to the critics' own step.
    critics.eval()
    try:
        said: list[Tensor] = torch.func.functional_call(critics, held, (lower,))
    finally:
        critics.train(was)
    return said
