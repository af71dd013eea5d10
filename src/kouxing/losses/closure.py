"""Losses on coefficients: lips that really close (methods.md section 2), and error where the loss mask allows it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kouxing.arkit import PLACE
from kouxing.losses.motion import masked_mean

R_LO, R_HI = 0.85, 0.97
"""mouthClose / jawOpen: lips are open up to the first, fully closed from the second on."""
JAW_STILL = 0.03
"""A jaw that opens less has no ratio worth telling; there the measured gap alone decides."""
GAP_SHUT, GAP_APART = 0.07, 0.15
"""Measured gap as a share of the clip's 95th percentile: fully closed under the first, open over the second."""


def closure(real: Tensor, gap: Tensor) -> Tensor:
    """kappa of the real lips, 0 (open) .. 1 (fully closed).

    Args:
        real: ``[B, T, 52]`` real coefficients.
        gap: ``[B, T]`` measured inner-lip gap as a share of the clip's 95th percentile: trackers' mouthClose is weak.
    """
    jaw, close = real[..., PLACE["jawOpen"]], real[..., PLACE["mouthClose"]]
    by_ratio = ((close / jaw.clamp(min=JAW_STILL) - R_LO) / (R_HI - R_LO)).clamp(0, 1) * (jaw >= JAW_STILL)
    by_gap = ((GAP_APART - gap) / (GAP_APART - GAP_SHUT)).clamp(0, 1)
    return torch.maximum(by_ratio, by_gap)


def closure_loss(distance: Tensor, kappa: Tensor, mask: Tensor) -> Tensor:
    """Second loss: where the real lips are closed, predicted distance costs: mean of kappa * max(d, 0)^2.

    Args:
        distance: ``[B, T]`` predicted (``face.closure``), signed.
        kappa: ``[B, T]``, see ``closure``.
        mask: ``[B, T]``, 1 where the step counts.
    """
    return masked_mean(kappa * torch.relu(distance).square(), mask)


def coefficient_error(predicted: Tensor, real: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """First loss: mean squared error, ``[B, T, 52]`` each.

    Args:
        predicted, real: coefficients.
        mask: ``[B, T]``, 1 where the step counts.
        weight: ``[B, 52]``: importance of each channel, 0 where the take does not know it.
    """
    return masked_mean((predicted - real).square() * weight[:, None], mask)


def distance_error(predicted: Tensor, real: Tensor, mask: Tensor, small: float) -> Tensor:
    """Squared error of the lip distance ``[B, T]``; small real distances weigh up to three times (exp(-d / small))."""
    weight = 1.0 + 2.0 * torch.exp(-real.clamp(min=0) / small)
    return masked_mean(weight * (predicted - real).square(), mask)


def shut_error(predicted: Tensor, closed: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the predicted probability ``[B, T]`` that lips touch against ``closed [B, T]`` 0 or 1."""
    safe = predicted.clamp(1e-4, 1 - 1e-4)
    return masked_mean(F.binary_cross_entropy(safe, closed, reduction="none"), mask)
