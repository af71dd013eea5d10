"""``mouth``: speech -> mouth coefficients, comparing each step with the ones before (methods.md section 1).

A step is a video frame. Everything runs over bounded windows, so that the model streams: ``Mouth`` takes a whole
recording (training), ``MouthStep`` one step with its state going in and coming out (use); both give the same numbers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.arkit import COEFFICIENTS, MOUTH, PLACE
from kouxing.face.closure import distance_weights
from kouxing.models.layers import start_small
from kouxing.units import FRAME_HZ, MEL_BANDS, MELS_PER_FRAME

FRONT_MELS = 10
"""Mel frames under one step of the two strided convolutions (4 steps of 4, stride 2 each)."""
SHUT = "shut"
"""Name of the extra channel: probability that the lips touch."""
FAR = -1e4
"""Score of steps outside the window."""


@dataclass(frozen=True)
class MouthDimensions:
    """Sizes of ``mouth``.

    Attributes:
        bands: mel bands in: the spectrogram's frequencies.
        narrow, wide: channels of the first and of the later 2-D convolutions.
        blocks: residual blocks, each looking two steps further back.
        features: D of f_t, even: the inverse Fourier transform's length.
        hidden: units of the LSTM.
        attention: width of the additive attention.
        past: steps of the past in the windows (2 s).
        ahead: steps that the attention looks ahead; the convolutions then see less, so that the sum stays the same.
        reach: mel frames after its own first one that a step may know of: the whole look-ahead.
        attends: without it c_t is f_t (ablation).
        compares: without it M_t is F_t (ablation).
    """

    bands: int = MEL_BANDS
    narrow: int = 20
    wide: int = 40
    blocks: int = 2
    features: int = 80
    hidden: int = 160
    attention: int = 32
    past: int = 2 * FRAME_HZ
    ahead: int = 0
    reach: int = 8
    attends: bool = True
    compares: bool = True

    @property
    def window_mels(self) -> int:
        """Mel frames that one f_t is made of."""
        return FRONT_MELS + 2 * self.blocks * MELS_PER_FRAME

    @property
    def before_mels(self) -> int:
        """Mel frames before the first step that ``forward`` wants."""
        return self.window_mels - 1 - self.reach + MELS_PER_FRAME * self.ahead

    @property
    def after_mels(self) -> int:
        """Mel frames after the last step's own that ``forward`` wants."""
        return self.reach + 1 - MELS_PER_FRAME

    @property
    def span(self) -> int:
        """Steps in the attention's window."""
        return self.past + 1 + self.ahead

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class TimeResidual(nn.Module):
    """Two convolutions around a skip; in time only towards the past, without padding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=(0, 1))
        self.second = nn.Conv2d(width, width, (1, 3), padding=(0, 1))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        start_small(self.second, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, W, T + 2, bands]`` -> ``[B, W, T, bands]``."""
        return x[:, :, 2:] + self.second(F.gelu(self.norms[1](self.first(F.gelu(self.norms[0](x))))))


class Front(nn.Module):
    """Spectrogram -> 2-D convolutions -> residual blocks -> inverse Fourier transform of each step: f_1..f_T."""

    def __init__(self, size: MouthDimensions) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, size.narrow, (4, 5), stride=2, padding=(0, 2))
        self.second = nn.Conv2d(size.narrow, size.wide, (4, 3), stride=2, padding=(0, 1))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in (size.narrow, size.wide))
        self.blocks = nn.Sequential(*(TimeResidual(size.wide) for _ in range(size.blocks)))
        self.drop = nn.Dropout(0.2)
        half = size.features // 2 + 1
        self.spectrum = nn.Linear(size.wide * (size.bands // 4), 2 * half)
        # The inverse transform is linear; as a matrix it can be exported, which irfft cannot.
        self.register_buffer("inverse", inverse_transform(size.features), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        """``[B, window_mels + 4 * (T - 1), bands]`` -> ``[B, T, D]``."""
        x = F.gelu(self.norms[0](self.first(mel[:, None])))
        x = F.gelu(self.norms[1](self.second(x)))
        x = self.blocks(x)
        flat = x.transpose(1, 2).flatten(2)
        return self.drop(torch.tanh(self.spectrum(flat) @ self.inverse))


def inverse_transform(length: int) -> Tensor:
    """``[2 * (length / 2 + 1), length]``: real parts then imaginary parts of a half spectrum -> orthonormal irfft."""
    half = length // 2 + 1
    real = torch.fft.irfft(torch.eye(half, dtype=torch.complex64), n=length, norm="ortho")
    imaginary = torch.fft.irfft(1j * torch.eye(half, dtype=torch.complex64), n=length, norm="ortho")
    return torch.cat([real, imaginary])


class Mouth(nn.Module):
    """The whole model. Parameters of a step are mouth and jaw channels (``arkit.MOUTH``) and ``SHUT``, 0..1."""

    columns: Tensor

    def __init__(self, dimensions: MouthDimensions) -> None:
        super().__init__()
        self.dimensions = size = dimensions
        width, parameters = size.features, len(MOUTH) + 1
        self.front = Front(size)
        self.cell = nn.LSTMCell(2 * width, size.hidden)
        self.from_feature = nn.Linear(width, size.attention)
        self.from_hidden = nn.Linear(size.hidden, size.attention, bias=False)
        self.key = nn.Linear(width, size.attention, bias=False)
        # Our choice: without the distance to step t, attention cannot tell the newest step from an old one like it.
        self.place = nn.Parameter(0.1 * torch.randn(size.span, size.attention))
        self.score = nn.Linear(size.attention, 1, bias=False)
        self.drop = nn.Dropout(0.2)
        out = nn.Linear(size.hidden, parameters)
        # Coefficients are mostly near 0; from 0.5 the way down would take the first hundred steps.
        start_small(out, 0.05)
        nn.init.constant_(out.bias, -3.0)
        nn.init.zeros_(out.bias[-1:])
        self.readout = nn.Sequential(nn.Linear(size.hidden + width, size.hidden), nn.GELU(), out)
        self.log_tau = nn.Parameter(torch.tensor(-4.6))
        self.project = nn.Linear(parameters, width, bias=False)
        self.gain, self.bias = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(-1.5))
        self.register_buffer("columns", torch.tensor([PLACE[name] for name in MOUTH]), persistent=False)

    def forward(self, mel: Tensor) -> Tensor:
        """Parameters ``[B, T, 28]`` of ``mel [B, before_mels + 4 * T + after_mels, bands]``."""
        return self.explained(mel)[0]

    def explained(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """The same with the attention's weights ``[B, T, span]``, column ``past`` being step t itself."""
        hidden, contexts, weights = self.listen(mel)
        own = self._read(hidden, contexts)
        return (self._compare(own, contexts) if self.dimensions.compares else own), weights

    def listen(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """h ``[B, T, hidden]``, c ``[B, T, D]`` and the attention's weights ``[B, T, span]``."""
        size = self.dimensions
        front = self.front(mel)
        # Half precision pays in the convolutions; recurrences would add up its rounding.
        with torch.autocast(front.device.type, enabled=False):
            return self._recur(front.float(), front.shape[1] - size.ahead)

    def _recur(self, f: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        size, batch = self.dimensions, len(f)
        h, s, c = f.new_zeros(batch, size.hidden), f.new_zeros(batch, size.hidden), f.new_zeros(batch, size.features)
        padded = F.pad(f, (0, 0, size.past, 0))
        keys, asked = self.key(padded), self.from_feature(f)
        known = F.pad(f.new_zeros(steps + size.ahead), (size.past, 0), value=FAR)
        hidden, contexts, weights = [], [], []
        for t in range(steps):
            h, s = self.cell(torch.cat([f[:, t], c], 1), (h, s))
            window = slice(t, t + size.span)
            c, alpha = self._attend(asked[:, t], h, padded[:, window], keys[:, window], known[window])
            hidden.append(h)
            contexts.append(c)
            weights.append(alpha)
        return torch.stack(hidden, 1), torch.stack(contexts, 1), torch.stack(weights, 1)

    def _attend(self, asked: Tensor, h: Tensor, f: Tensor, keys: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """c_t ``[B, D]`` and alpha ``[B, span]`` from the window's f ``[B, span, D]`` (additive attention)."""
        past = self.dimensions.past
        if not self.dimensions.attends:
            return f[:, past], (torch.arange(f.shape[1], device=f.device) == past).to(f).expand(len(f), -1)
        query = asked + self.from_hidden(h)
        score = self.score(torch.tanh(query[:, None] + keys + self.place))[..., 0]
        alpha = (score + known).softmax(-1)
        return (alpha[:, None] @ f)[:, 0], alpha

    def _read(self, h: Tensor, c: Tensor) -> Tensor:
        """F_t."""
        return torch.sigmoid(self.readout(self.drop(torch.cat([h, c], -1))))

    def _compare(self, own: Tensor, contexts: Tensor) -> Tensor:
        """M_t of all steps: similarity-weighted F_i, then the step before by the dependency weight."""
        with torch.autocast(own.device.type, enabled=False):
            return self._compared(own.float(), contexts)

    def _compared(self, own: Tensor, contexts: Tensor) -> Tensor:
        steps, past = own.shape[1], self.dimensions.past
        unit = F.normalize(contexts, dim=-1)
        near = torch.arange(steps, device=own.device)
        back = near[:, None] - near
        outside = (back < 0) | (back > past)
        similar = (unit @ unit.transpose(1, 2)) / self.log_tau.exp()
        preliminary = similar.masked_fill(outside, FAR).softmax(-1) @ own
        last, made = preliminary[:, 0], [preliminary[:, 0]]
        for t in range(1, steps):
            last = self._join(preliminary[:, t], last, unit[:, t])
            made.append(last)
        return torch.stack(made, 1)

    def _join(self, preliminary: Tensor, last: Tensor, unit: Tensor, begun: Tensor | float = 1.0) -> Tensor:
        """M_t = (M^_t + w_t M_{t-1}) / (1 + w_t): a mean, so that it stays within 0..1."""
        like = (F.normalize(self.project(last), dim=-1) * unit).sum(-1, keepdim=True)
        weight = torch.sigmoid(self.gain * like + self.bias) * begun
        return (preliminary + weight * last) / (1 + weight)


def to_coefficients(parameters: Tensor, columns: Tensor) -> Tensor:
    """Parameters ``[B, T, 28]`` -> ``[B, T, 52]``, the face beyond the mouth at 0; lips as far apart as predicted."""
    values = parameters.new_zeros(*parameters.shape[:-1], len(COEFFICIENTS))
    return values.index_copy(-1, columns, parameters[..., :-1])


def shut_lips(values: Tensor, shut: Tensor, begin: float, full: float) -> Tensor:
    """Close the lips by mouthClose where they are likely to touch.

    Args:
        values: ``[..., 52]``.
        shut: ``[...]`` probability that the lips touch.
        begin, full: from this probability on they are drawn together, from that one on they touch (d = 0).
    """
    return drawn_shut(values, ((shut - begin) / (full - begin)).clamp(0, 1))


def drawn_shut(values: Tensor, share: Tensor) -> Tensor:
    """Lips ``share [...]`` of the way from ``values [..., 52]`` to touching, by mouthClose."""
    distance = values @ torch.from_numpy(distance_weights()).to(values)
    more = torch.zeros_like(values)
    more[..., PLACE["mouthClose"]] = share * distance.clamp(min=0)
    return (values + more).clamp(0, 1)


STATE = ("features", "known", "hidden", "cell", "context", "contexts", "own", "last")


class MouthStep(nn.Module):
    """One step of ``Mouth`` for export: mel window and state in, coefficients, attention and next state out.

    Args:
        model: what is run.
        gate: ``begin`` and ``full`` of ``shut_lips``.
    """

    def __init__(self, model: Mouth, gate: tuple[float, float]) -> None:
        super().__init__()
        self.model, self.gate = model, gate

    def initial_state(self) -> tuple[Tensor, ...]:
        """The tensors named in ``STATE`` before the first step."""
        size = self.model.dimensions
        known = torch.full((size.span,), FAR)
        shapes = ((size.hidden,), (size.hidden,), (size.features,), (size.past + 1, size.features))
        zeros = [torch.zeros(1, *shape) for shape in shapes]
        own = torch.zeros(1, size.past + 1, len(MOUTH) + 1)
        return torch.zeros(1, size.span, size.features), known, *zeros, own, torch.zeros(1, len(MOUTH) + 1)

    def forward(self, mel: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Step t, given the mel window of f_{t + ahead} ``[1, window_mels, bands]``.

        Returns:
            coefficients ``[1, 52]``, attention ``[1, span]``, then the next state.
        """
        f, known, h, s, c, contexts, owns, last = state
        model, size = self.model, self.model.dimensions
        f = torch.cat([f[:, 1:], model.front(mel)], 1)
        known = torch.cat([known[1:], torch.zeros_like(known[:1])])
        now = f[:, size.past]
        h, s = model.cell(torch.cat([now, c], 1), (h, s))
        c, alpha = model._attend(model.from_feature(now), h, f, model.key(f), known)
        own = model._read(h, c)
        contexts, owns = torch.cat([contexts[:, 1:], c[:, None]], 1), torch.cat([owns[:, 1:], own[:, None]], 1)
        # Export drops inputs that nothing uses: without comparing, the step before is used in name only.
        made = own + 0 * last
        if size.compares:
            unit = F.normalize(contexts, dim=-1)
            similar = (unit[:, -1:] @ unit.transpose(1, 2))[:, 0] / model.log_tau.exp()
            preliminary = ((similar + known[: size.past + 1]).softmax(-1)[:, None] @ owns)[:, 0]
            begun = (known[size.past - 1] == 0).to(own)
            made = model._join(preliminary, last, unit[:, -1], begun)
        values = shut_lips(to_coefficients(made, model.columns), made[..., -1], *self.gate)
        return values, alpha, f, known, h, s, c, contexts, owns, made
