"""``multimodal``: any of text, speech and mouth pictures -> one mouth feature -> coefficients and mouth geometry.

Methods.md section 5: each modality's feature is modulated by the mouth feature of the one before, the first by a preset
vector. All layers reach a few frames to either side and no further, so that long sounds may be done in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.arkit import COEFFICIENTS
from kouxing.audio.clearness import WIDTH as CLEAR
from kouxing.face.closure import PER_CROP_PX, distance_weights
from kouxing.face.geometry import GEOMETRY, opening_weights
from kouxing.face.mouth_picture import HEIGHT_PX, WIDTH_PX
from kouxing.models.expression import CLOSING, REST, Closing, follow
from kouxing.models.layers import start_small
from kouxing.text.rows import WIDTH as TEXT
from kouxing.units import MEL_BANDS

MODALITIES = ("text", "speech", "mouth")
"""Their places in ``present``; also the order in use."""
JOINS = ("modulation", "concatenation", "contrastive")
FOLLOWS = 0.8
"""How far the coefficients' lips follow the opening of the geometry: two heads tell one mouth."""


@dataclass(frozen=True)
class MultimodalDimensions:
    """Sizes of ``multimodal``.

    Attributes:
        text: numbers in a row of text (``text.rows``).
        heard: of the shared speech encoder: mouth geometry.
        trunk: of the phone network's trunk.
        bands: of the mel frame, averaged over the video frame: it carries tone and loudness.
        clear: how well the sound can be heard (``audio.clearness``).
        seen: numbers in which a mouth picture is told.
        width: D, of every modality's feature and of the mouth feature.
        layers: fully connected layers after each modulation.
        joins: one of ``JOINS``; the others are for comparison.
    """

    text: int = TEXT
    heard: int = GEOMETRY
    trunk: int = 320
    bands: int = MEL_BANDS
    clear: int = CLEAR
    seen: int = 96
    width: int = 96
    layers: int = 2
    joins: str = "modulation"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Over(nn.Module):
    """A convolution over time with a skip, normalised per step."""

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 2 * reach + 1, padding=reach)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + F.gelu(self.conv(x.transpose(1, 2)).transpose(1, 2)))


class Looker(nn.Module):
    """Mouth picture ``[N, 48, 64]``, even light -> ``[N, seen]``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        channels = (1, 16, 32, 48, 64)
        layers: list[nn.Module] = []
        for before, after in zip(channels[:-1], channels[1:], strict=True):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.GELU()]
        self.maps = nn.Sequential(*layers)
        self.out = nn.Linear(channels[-1] * (HEIGHT_PX // 16) * (WIDTH_PX // 16), width)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.out(self.maps(pictures[:, None]).flatten(1))


class Chain(nn.Module):
    """Sequential modulation: mouth_k = FC(mod(S_k, mouth_{k-1})), mouth_0 a preset vector."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.preset = nn.Parameter(0.5 * torch.randn(width))
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in MODALITIES)
        self.gammas = nn.ModuleList(nn.Linear(width, width) for _ in MODALITIES)
        self.betas = nn.ModuleList(nn.Linear(width, width) for _ in MODALITIES)
        for gamma in self.gammas:
            assert isinstance(gamma, nn.Linear)
            start_small(gamma, 0.02)
            nn.init.ones_(gamma.bias)
        self.after = nn.ModuleList(_connected(width, width, layers) for _ in MODALITIES)

    def forward(self, features: Sequence[Tensor], present: Tensor, order: Sequence[int]) -> Tensor:
        """Features ``[B, T, D]`` of all modalities, ``present [B, T, 3]`` -> the mouth feature ``[B, T, D]``."""
        return self.each(features, present, order)[order[-1]]

    def each(self, features: Sequence[Tensor], present: Tensor, order: Sequence[int]) -> dict[int, Tensor]:
        """The mouth features ``[B, T, D]`` after each modality, by its place."""
        mouth = self.preset.expand_as(features[0])
        mouths = {}
        for place in order:
            told = self.gammas[place](mouth) * self.norms[place](features[place]) + self.betas[place](mouth)
            # A modality that is not there is skipped: the next one is modulated by what was before.
            mouth = torch.where(present[..., place, None] > 0.5, self.after[place](told), mouth)
            mouths[place] = mouth
        return mouths


class Side(nn.Module):
    """For comparison: all features side by side, zeros for what is missing, through as many layers."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        inside = 2 * width
        # About as many numbers as ``Chain``.
        self.all = _connected(3 * width + 3, inside, layers + 1, width)

    def forward(self, features: Sequence[Tensor], present: Tensor, order: Sequence[int]) -> Tensor:
        kept = [F.layer_norm(one, one.shape[-1:]) * present[..., n, None] for n, one in enumerate(features)]
        return self.all(torch.cat([*kept, present], -1))


class Shared(nn.Module):
    """For comparison: every modality into one space, where those of a moment are drawn together; their mean counts."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.into = nn.ModuleList(_connected(width, width, layers) for _ in MODALITIES)
        # Layers until it has about as many numbers as ``Chain``.
        self.after = _connected(width, width, layers + 4)

    def forward(self, features: Sequence[Tensor], present: Tensor, order: Sequence[int]) -> Tensor:
        drawn = torch.stack(self.drawn(features), -1) * present[..., None, :]
        return self.after(drawn.sum(-1) / present.sum(-1, keepdim=True).clamp(min=1) * drawn.shape[-2] ** 0.5)

    def drawn(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Unit vectors ``[B, T, D]`` of each modality."""
        return [F.normalize(into(one), dim=-1) for into, one in zip(self.into, features, strict=True)]


def _connected(inside: int, width: int, layers: int, out: int | None = None) -> nn.Sequential:
    parts: list[nn.Module] = []
    for number in range(layers):
        last = out or width if number == layers - 1 else width
        parts += [nn.Linear(inside if number == 0 else width, last), nn.GELU()]
    return nn.Sequential(*parts)


class Multimodal(nn.Module):
    """Encoders, joining and heads."""

    def __init__(self, dimensions: MultimodalDimensions) -> None:
        super().__init__()
        if dimensions.joins not in JOINS:
            raise ValueError(f"joins must be one of {JOINS}, got {dimensions.joins!r}")
        self.dimensions = size = dimensions
        width = size.width
        self.drop = nn.Dropout(0.2)
        self.looker = Looker(size.seen)
        spoken = size.heard + size.trunk + size.bands + size.clear
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Linear(inside, width), nn.GELU(), Over(width, reach), Over(width, reach))
            for inside, reach in ((size.text, 4), (spoken, 2), (size.seen, 2))
        )
        self.heads = nn.ModuleList(nn.Linear(width, width) for _ in MODALITIES)
        joins = {"modulation": Chain, "concatenation": Side, "contrastive": Shared}
        self.join = joins[size.joins](width, size.layers)
        self.after = nn.Sequential(Over(width, 2), Over(width, 2))
        values = nn.Linear(width, len(COEFFICIENTS) + 1)
        start_small(values, 0.05)
        nn.init.constant_(values.bias, REST)
        nn.init.zeros_(values.bias[-1:])
        self.values = values
        self.geometry = nn.Linear(width, GEOMETRY)
        start_small(self.geometry, 0.05)
        # How far the mouth that the speech encoder hears is believed; it begins near half.
        self.believe = nn.Linear(width, 1)
        start_small(self.believe, 0.02)

    def features(self, text: Tensor, speech: Tensor, seen: Tensor) -> list[Tensor]:
        """S of each modality, ``[B, T, D]``, from text rows, speech (heard, trunk, mel, clear), pictures told."""
        # How clear the sound is has to be known always: all the rest is weighed by it.
        own = self.dimensions.clear
        speech = torch.cat([self.drop(speech[..., :-own]), speech[..., -own:]], -1)
        given = (text, speech, self.drop(seen))
        return [
            head(self.drop(encoder(one))) for head, encoder, one in zip(self.heads, self.encoders, given, strict=True)
        ]

    def joint(self, features: Sequence[Tensor], present: Tensor, order: Sequence[int] = (0, 1, 2)) -> Tensor:
        """The mouth feature ``[B, T, D]`` of all modalities that are there.

        Args:
            features: of ``features``.
            present: ``[B, T, 3]``, 1 where a modality is there.
            order: in which they are joined.
        """
        return self.after(self.join(features, present, order))

    def told(self, joint: Tensor, heard: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients ``[B, T, 52]``, probability of touching lips ``[B, T]`` and geometry ``[B, T, 16]``."""
        made = torch.sigmoid(self.values(joint))
        believed = torch.sigmoid(self.believe(joint)) * present[..., 1:2]
        return made[..., :-1], made[..., -1], self.geometry(joint) + believed * heard

    def forward(
        self, text: Tensor, heard: Tensor, trunk: Tensor, mel: Tensor, clear: Tensor, seen: Tensor, present: Tensor,
        order: Sequence[int] = (0, 1, 2),
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """Everything at once.

        Args:
            text: ``[B, T, text]``. heard: ``[B, T, 16]``. trunk: ``[B, T, trunk]``. mel: ``[B, T, 80]``.
            clear: ``[B, T, 6]``. seen: ``[B, T, seen]`` of ``looker``.
            present: ``[B, T, 3]``; rows of what is not there do not count, whatever they hold.
            order: in which modalities are joined.

        Returns:
            Coefficients, touching, geometry, and the mouth feature.
        """
        speech = torch.cat([heard, trunk, mel, clear], -1)
        joint = self.joint(self.features(text, speech, seen), present, order)
        return (*self.told(joint, heard, present), joint)


class MultimodalStep(nn.Module):
    """For export: what is told, with lips that touch where they are near."""

    def __init__(self, model: Multimodal, closing: Closing = CLOSING, share: float = FOLLOWS) -> None:
        super().__init__()
        self.model, self.closing, self.share = model, closing, share

    def forward(
        self, text: Tensor, heard: Tensor, trunk: Tensor, mel: Tensor, clear: Tensor, seen: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As ``Multimodal.forward``: coefficients ``[B, T, 52]``, geometry ``[B, T, 16]``, mouth feature."""
        values, shut, geometry, joint = self.model(text, heard, trunk, mel, clear, seen, present)
        return self.finished(values, shut, geometry), geometry, joint

    def finished(self, values: Tensor, shut: Tensor, geometry: Tensor) -> Tensor:
        """Coefficients whose lips follow the geometry's opening, and touch."""
        opening = (geometry @ torch.from_numpy(opening_weights() * PER_CROP_PX).to(geometry)).clamp(min=0)
        values = follow(values, opening, torch.full_like(opening, self.share))
        own = values @ torch.from_numpy(distance_weights()).to(values)
        return follow(values, self.closing.distance(own, shut), torch.ones_like(own))


class LookerStep(nn.Module):
    """For export: mouth pictures -> what ``MultimodalStep`` takes as ``seen``."""

    def __init__(self, model: Multimodal) -> None:
        super().__init__()
        self.looker = model.looker

    def forward(self, pictures: Tensor) -> Tensor:
        """``[T, 48, 64] float32`` (``face.mouth_light``) -> ``[1, T, seen]``."""
        return self.looker(pictures)[None]
