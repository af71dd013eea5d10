"""The face generator of ``multimodal``: mouth features of the modalities + a preset face without a mouth -> the face.

Methods.md section 5, "Face picture". The face vector is read from the preset face picture, whose mouth our code takes
away (``face.no_mouth``). Either (a), ``targets``: every modality's mouth feature gives a target feature, and these and
the face vector meet in residual connections; or (b), ``chain``: the face vector modulates the first modality's mouth
feature, its fully connected output the second's, and so on, and the last is joined to the face vector by a residual
connection. Encoder and decoder are those of ``lips`` with one reference, so that its weights can be taken over.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.models.layers import Modulate
from kouxing.models.lips import PRESETS, Lips, LipsDimensions
from kouxing.models.multimodal import MODALITIES

VARIANTS = ("targets", "chain")
JOINT = 96
"""D, of ``multimodal``'s mouth features."""


def face_dimensions(features: int = JOINT) -> LipsDimensions:
    """Those of ``lips`` ``fast`` with one reference, driven by three mouth features and whether each is there."""
    return replace(PRESETS["fast"], references=1, window=1, features=len(MODALITIES) * (features + 1))


def _connected(inside: int, width: int, layers: int = 2) -> nn.Sequential:
    parts: list[nn.Module] = []
    for number in range(layers):
        parts += [nn.Linear(inside if number == 0 else width, width), nn.GELU()]
    return nn.Sequential(*parts)


class Targets(nn.Module):
    """Variant (a): a target feature per modality; they and the face vector meet in residual connections."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.targets = nn.ModuleList(_connected(features, width) for _ in MODALITIES)
        self.meet = nn.ModuleList(_connected(width, width) for _ in MODALITIES)

    def forward(self, face: Tensor, mouths: Tensor, present: Tensor) -> Tensor:
        """Face vector ``[B, W]``, mouth features ``[B, 3, D]``, ``present [B, 3]`` -> ``[B, W]``."""
        for place, (target, meet) in enumerate(zip(self.targets, self.meet, strict=True)):
            face = face + present[:, place, None] * meet(face + target(mouths[:, place]))
        return face


class FaceChain(nn.Module):
    """Variant (b): the joint chain that starts from the face vector."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, elementwise_affine=False)
        self.gammas = nn.ModuleList(nn.Linear(width, features) for _ in MODALITIES)
        self.betas = nn.ModuleList(nn.Linear(width, features) for _ in MODALITIES)
        for gamma in self.gammas:
            assert isinstance(gamma, nn.Linear)
            nn.init.normal_(gamma.weight, std=0.02)
            nn.init.ones_(gamma.bias)
        self.after = nn.ModuleList(_connected(features, width) for _ in MODALITIES)

    def forward(self, face: Tensor, mouths: Tensor, present: Tensor) -> Tensor:
        """As ``Targets.forward``."""
        before = face
        for place in range(len(MODALITIES)):
            told = self.gammas[place](before) * self.norm(mouths[:, place]) + self.betas[place](before)
            before = torch.where(present[:, place, None] > 0.5, self.after[place](told), before)
        return face + before


class FaceJoin(nn.Module):
    """Stands where ``lips`` joins sound and picture: gives the decoder its first map and its drive."""

    def __init__(self, size: LipsDimensions, variant: str) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {VARIANTS}, got {variant!r}")
        self.own = size.features // len(MODALITIES) - 1
        self.image = nn.Conv2d(size.encoder[-1] * (1 + size.references), size.fusion, 1)
        self.face = nn.Linear(size.fusion + (1 + size.references) * size.stance, size.drive)
        self.meet = {"targets": Targets, "chain": FaceChain}[variant](self.own, size.drive)
        self.drive = nn.Sequential(nn.LayerNorm(size.drive), nn.Linear(size.drive, size.drive), nn.GELU())
        self.modulate = Modulate(size.drive, size.fusion)
        self.norm = nn.LayerNorm(size.fusion)

    def forward(self, mouths: Tensor, image: Tensor, stances: Tensor) -> tuple[Tensor, Tensor]:
        """Mouth features ``[B, 1, 3 * (D + 1)]`` (``packed``), maps ``[B, 2C, 8, 8]``, stances -> map, drive."""
        given = mouths[:, 0].unflatten(1, (len(MODALITIES), self.own + 1))
        maps = self.image(image)
        seen = F.layer_norm(maps.mean((2, 3)), maps.shape[1:2])
        face = self.face(torch.cat([seen, stances.flatten(1)], 1))
        drive = self.drive(self.meet(face, given[..., :-1], given[..., -1]))
        moved = self.modulate(maps, drive).permute(0, 2, 3, 1)
        return self.norm(moved).permute(0, 3, 1, 2), drive


class FaceMaker(Lips):
    """Mouth features + preset face without a mouth -> the lower half of the face; called as ``Lips``.

    ``audio`` is ``[B, 1, 3 * (D + 1)]`` of ``packed``, ``own`` is ``[B, 0, 3 * (D + 1)]``: the preset face tells
    nothing of its mouth.
    """

    def __init__(self, variant: str, features: int = JOINT) -> None:
        super().__init__(face_dimensions(features))
        self.variant = variant
        self.fusion = FaceJoin(self.dimensions, variant)  # type: ignore[assignment]

    def take_over(self, lips: Lips) -> int:
        """Start from a trained ``lips``: one reference as if it were shown thrice. Returns how many tensors fit."""
        given, own = lips.state_dict(), self.state_dict()
        count = lips.dimensions.references
        taken = {}
        for name, value in given.items():
            # What the decoder starts from was normalised there too.
            name = name.replace("fusion.norms.2.", "fusion.norm.")
            if name not in own:
                continue
            if own[name].shape != value.shape:
                value = _folded(name, value, own[name].shape, count)
            if value is not None:
                taken[name] = value
        self.load_state_dict(own | taken)
        return len(taken)


def _folded(name: str, value: Tensor, shape: torch.Size, count: int) -> Tensor | None:
    """A tensor for ``count`` references as one for a single reference; None where it does not fit."""
    if name.startswith("where."):
        # Warps of the first reference, and its trust.
        return value[[0, 1, 2 * count]]
    if value.ndim == 4 and value.shape[0] == shape[0]:
        # Behind what is not of the references stand maps of the frame and of each of them.
        width = (value.shape[1] - shape[1]) // (count - 1)
        split = shape[1] - width
        theirs = value[:, split:].unflatten(1, (count, width)).sum(1)
        return torch.cat([value[:, :split], theirs], 1)
    return None


def packed(mouths: Tensor, present: Tensor) -> Tensor:
    """Mouth features ``[..., 3, D]`` and whether each modality is there ``[..., 3]`` -> ``[..., 3 * (D + 1)]``."""
    return torch.cat([mouths, present[..., None]], -1).flatten(-2)
