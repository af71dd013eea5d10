"""``expression``: (speech, emotion, speaking style) -> all 52 coefficients (methods.md section 2).

Speech is heard by the shared encoder's trunk, which stays as it is. State goes in and comes out, so that chunks of any
length give what the whole gives.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.arkit import COEFFICIENTS, EMOTIONS, PLACE
from kouxing.face import geometry
from kouxing.face.closure import CLOSED_DISTANCE, PER_CROP_PX, TYPICAL_DISTANCE, distance_weights
from kouxing.face.emotions import offsets
from kouxing.models.layers import start_small
from kouxing.models.speech import Ears, SpeechEncoder

REST = -3.0
"""Where outputs begin, before the sigmoid: coefficients are mostly near 0."""
EAR_SHARE = 0.8
"""How far neutral lips follow the encoder's own opening. The trunk was trained on the same clips and tells more about
them than about strangers; its opening, learned from far more variety, is the better guide (docs/log.md)."""
FRONT_SHARE = 0.6
"""The same where it hears through the front, whose trunk knows strangers as well."""
MOUTH_SHARE = 0.3
"""How much ``mouth``'s lip distance counts in use beside the own one: the two err differently. What hears whole files
through the front errs less than either."""


@dataclass(frozen=True)
class Closing:
    """Brings lips together where they are heard near: a model that follows the mean never quite closes them.

    Distances are stretched away from ``TYPICAL_DISTANCE``, which stays, until ``under`` becomes ``CLOSED_DISTANCE``;
    what lies below falls with its square. No step and no order is lost, so that the curve's shape stays.

    Attributes:
        under: lip distance under which lips count as closed.
        more: how much farther up a certain probability of touching moves that, an even one not at all.
    """

    under: float
    more: float

    def distance(self, distance: Tensor, shut: Tensor) -> Tensor:
        """What a lip distance becomes at the probability ``shut``; both of one shape."""
        limit = (self.under + 2 * self.more * (shut - 0.5)).clamp(min=CLOSED_DISTANCE)
        steep = (TYPICAL_DISTANCE - CLOSED_DISTANCE) / (TYPICAL_DISTANCE - limit)
        stretched = TYPICAL_DISTANCE - steep * (TYPICAL_DISTANCE - distance)
        near = CLOSED_DISTANCE * (distance.clamp(min=0) / limit).square() + distance.clamp(max=0)
        return torch.where(distance < limit, near, distance.minimum(stretched))


CLOSING = Closing(under=0.08, more=0.02)
"""Chosen on ``val`` and on held-out training speakers (docs/log.md): the distance tells strangers' closed lips better
than the learned probability alone, which is too sure of them."""
FRONT_CLOSING = Closing(under=0.08, more=0.04)
"""Behind the front, where the probability is worth more."""
STATISTICS = 2 * len(COEFFICIENTS)
"""What a style is read from: mean and standard deviation of every coefficient over a reference clip."""


@dataclass(frozen=True)
class ExpressionDimensions:
    """Sizes of ``expression``.

    Attributes:
        heard: features of the speech encoder's trunk.
        width: of the speech feature after the first layer.
        hidden: units of the GRU.
        emotions: ``arkit.EMOTIONS``.
        style: numbers in a style; all 0 is the average one.
        speakers: rows of the table of training speakers' styles.
        shuts: a probability of touching lips draws them together (ablation, with the closure loss).
    """

    heard: int = 320
    width: int = 128
    hidden: int = 128
    emotions: int = len(EMOTIONS)
    style: int = 8
    speakers: int = 1
    shuts: bool = True

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Style(nn.Module):
    """Styles of training speakers, and the style of a reference clip from its coefficients' statistics."""

    middle: Tensor
    spread: Tensor

    def __init__(self, speakers: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(speakers, width)
        self.reader = nn.Linear(STATISTICS, width, bias=False)
        start_small(self.reader, 0.1)
        nn.init.normal_(self.table.weight, std=0.1)
        # Brings statistics to about unit spread; set from the training takes.
        self.register_buffer("middle", torch.zeros(STATISTICS))
        self.register_buffer("spread", torch.ones(STATISTICS))

    def read(self, statistics: Tensor) -> Tensor:
        """``[B, 104]`` -> ``[B, S]``, -1..1."""
        return torch.tanh(self.reader((statistics - self.middle) / self.spread))

    def known(self, speaker: Tensor) -> Tensor:
        """``[B] int64`` -> ``[B, S]``, -1..1."""
        return torch.tanh(self.table(speaker))


def statistics(values: Tensor) -> Tensor:
    """Mean and deviation of coefficients ``[T, 52]`` over their 10th percentile, the face at rest: ``[104]``."""
    moving = (values - values.quantile(0.1, 0)).clamp(min=0)
    return torch.cat([moving.mean(0), moving.std(0, unbiased=False)])


def listen(encoder: SpeechEncoder | Ears, mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """What the encoder's trunk hears, or those of several side by side: ``[B, T, heard]`` and the next state.

    Args:
        encoder: one, or ``Ears``.
        mel, state: as for ``encoder``.
    """
    if isinstance(encoder, SpeechEncoder):
        return encoder.trunk(mel, state)
    states = state.chunk(len(encoder.members))
    told = [one.trunk(mel, own) for one, own in zip(encoder.members, states, strict=True)]  # type: ignore[operator]
    return torch.cat([heard for heard, _ in told], -1), torch.cat([own for _, own in told])


def heard_distance(encoder: SpeechEncoder | Ears, heard: Tensor) -> Tensor:
    """Lip distance ``[B, T]`` that the encoder itself hears, the mean of its members; under 0 they are pressed.

    Args:
        encoder: whose trunk ``listen`` was.
        heard: what it gave, ``[B, T, heard]``.
    """
    members = [encoder] if isinstance(encoder, SpeechEncoder) else list(encoder.members)
    parts = heard.chunk(len(members), -1)
    features = torch.stack([one.readout(part) for one, part in zip(members, parts, strict=True)])  # type: ignore[operator]
    return features.mean(0) @ torch.from_numpy(geometry.opening_weights() * PER_CROP_PX).to(heard)


def follow(values: Tensor, wanted: Tensor, share: Tensor) -> Tensor:
    """Open or close the jaw, and then the lips, until their distance is nearer to another one.

    Args:
        values: ``[..., 52]``.
        wanted: ``[...]`` lip distance.
        share: ``[...]`` of the way there: 0 leaves the values, 1 goes all the way.
    """
    missing = share * (wanted - values @ torch.from_numpy(distance_weights()).to(values))
    jaw, close = values[..., PLACE["jawOpen"]], values[..., PLACE["mouthClose"]]
    moved = (jaw + missing).clamp(0, 1)
    change = torch.zeros_like(values)
    change[..., PLACE["jawOpen"]] = moved - jaw
    # What the jaw could not do, the lips do.
    change[..., PLACE["mouthClose"]] = (close - (missing - (moved - jaw))).clamp(0, 1) - close
    return values + change


class Expression(nn.Module):
    """What follows the encoder. Emotion and style modulate it step by step, so that they may change over time."""

    def __init__(self, dimensions: ExpressionDimensions) -> None:
        super().__init__()
        self.dimensions = size = dimensions
        control = size.emotions + size.style
        self.join = nn.Linear(size.heard, size.width)
        self.norm = nn.LayerNorm(size.width)
        self.modulate = nn.Linear(control, 2 * size.width)
        start_small(self.modulate, 0.02)
        self.gru = nn.GRU(size.width, size.hidden, batch_first=True)
        self.drop = nn.Dropout(0.3)
        out = nn.Linear(size.hidden, len(COEFFICIENTS) + 1)
        start_small(out, 0.05)
        nn.init.constant_(out.bias, REST)
        nn.init.zeros_(out.bias[-1:])
        self.readout = nn.Sequential(nn.Linear(size.hidden + size.width + control, size.hidden), nn.GELU(), out)
        # Emotions begin as what they are taught to be: left to the readout alone, faint ones stay faint for long.
        self.emotion = nn.Linear(size.emotions, len(COEFFICIENTS) + 1, bias=False)
        with torch.no_grad():
            self.emotion.weight.zero_()
            resting = torch.sigmoid(torch.tensor(REST))
            full = torch.from_numpy(offsets()).clamp(max=0.95) * (1 - resting) + resting
            self.emotion.weight[:-1] = (torch.logit(full) - REST).T
        self.style = Style(size.speakers, size.style)

    def initial_state(self, batch: int) -> Tensor:
        """``[1, B, hidden]`` zeros."""
        return torch.zeros(1, batch, self.dimensions.hidden)

    def forward(self, heard: Tensor, emotion: Tensor, style: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients of some steps.

        Args:
            heard: ``[B, T, heard]`` features of the trunk.
            emotion: ``[B, T, 7]`` shares of ``arkit.EMOTIONS``.
            style: ``[B, T, S]``.
            state: ``[1, B, hidden]``.

        Returns:
            coefficients ``[B, T, 52]``, lips not yet shut; probability ``[B, T]`` that they touch; the next state.
        """
        control = torch.cat([emotion, style], -1)
        scale, shift = self.modulate(control).chunk(2, -1)
        x = F.gelu(self.norm(self.join(self.drop(heard))) * (1 + scale) + shift)
        y, state = self.gru(x, state)
        logits = self.readout(torch.cat([self.drop(y), x, control], -1)) + self.emotion(emotion)
        made = torch.sigmoid(logits)
        return made[..., :-1], made[..., -1], state


class ExpressionStep(nn.Module):
    """Encoder trunk and ``expression`` together for export: mel and states in, coefficients and states out.

    Args:
        encoder: whose trunk hears.
        model: what follows it.
        closing: where lips touch; by default ``CLOSING``, behind the front ``FRONT_CLOSING``.
        share: how far a neutral face's lips follow what the encoder itself hears of their distance; by default
            ``EAR_SHARE``, behind the front ``FRONT_SHARE``.
    """

    def __init__(
        self,
        encoder: SpeechEncoder | Ears,
        model: Expression,
        closing: Closing | None = None,
        share: float | None = None,
    ) -> None:
        super().__init__()
        behind = encoder.dimensions.behind_front
        closing = closing or (FRONT_CLOSING if behind else CLOSING)
        if share is None:
            share = FRONT_SHARE if behind else EAR_SHARE
        self.encoder, self.model, self.closing, self.share = encoder, model, closing, share

    def forward(
        self, mel: Tensor, emotion: Tensor, style: Tensor, ear: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """T steps from ``mel [1, context_rows + 4 * T, 80]``: ``[1, T, 52]`` and both next states."""
        heard, ear = listen(self.encoder, mel, ear)
        values, shut, state = self.model(heard, emotion, style, state)
        return self.finished(values, shut, emotion, heard_distance(self.encoder, heard)), ear, state

    def finished(self, values: Tensor, shut: Tensor, emotion: Tensor, distance: Tensor) -> Tensor:
        """Coefficients ``[B, T, 52]`` of the model with the encoder's opening, and lips that touch."""
        # Strong emotions open the jaw by themselves.
        values = follow(values, distance.clamp(min=0), self.share * emotion[..., 0])
        if not self.model.dimensions.shuts:
            return values
        own = values @ torch.from_numpy(distance_weights()).to(values)
        return follow(values, self.closing.distance(own, shut), torch.ones_like(own))


class StyleReader(nn.Module):
    """Statistics of a reference clip -> style, for export."""

    def __init__(self, model: Expression) -> None:
        super().__init__()
        self.model = model

    def forward(self, statistics: Tensor) -> Tensor:
        """``[1, 104]`` -> ``[1, S]``."""
        return self.model.style.read(statistics)
