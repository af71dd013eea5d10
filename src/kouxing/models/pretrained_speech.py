"""Speech encoders that others trained (Whisper, HuBERT, wav2vec 2.0) as features of ours: ``[B, T, D]`` at 25 fps.

They attend over whole windows, sounds to come included: for training and comparison, not for live streams. Loading
them from files is ``data.pretrained``'s work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

WINDOW_S, MARGIN_S = 20, 1
"""Longer speech is heard in windows that overlap: what lies within the margin of an inner edge is not used."""


@dataclass(frozen=True)
class PretrainedDimensions:
    """What is needed to know of a pretrained encoder.

    Attributes:
        kind: ``whisper``, ``hubert`` or ``wav2vec2``.
        width: D.
        step: samples from one of its frames to the next (320: 50 Hz).
        field: samples that a frame of its convolutions sees; unused for ``whisper``.
        window: samples heard at a time; ``whisper`` always hears as many.
        layer: which hidden layer is taken; -1 the last.
        normalise: samples come with zero mean and unit spread.
    """

    kind: str
    width: int
    step: int
    field: int
    window: int
    layer: int = -1
    normalise: bool = False

    def as_dict(self) -> dict[str, int | str | bool]:
        return asdict(self)


class PretrainedEncoder(nn.Module):
    """A frozen encoder of ``transformers`` behind our clock.

    Args:
        model: ``WhisperEncoder``, ``HubertModel`` or ``Wav2Vec2Model``.
        dimensions: see there.
        mels: for ``whisper``: ``window`` samples ``[B, N]`` -> its log-mel ``[B, bands, 2 * N / step]``.
    """

    def __init__(
        self, model: nn.Module, dimensions: PretrainedDimensions, mels: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        if (dimensions.kind == "whisper") != (mels is not None):
            raise ValueError(f"{dimensions.kind}: log-mel is for whisper, and whisper needs it")
        self.model, self.dimensions, self._mels = model, dimensions, mels
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> PretrainedEncoder:
        """It stays as it is: frozen, without dropout."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, samples: Tensor) -> Tensor:
        """Features at video frames.

        Args:
            samples: ``[B, N] float32``, -1..1, at ``SAMPLE_HZ``.

        Returns:
            ``[B, ceil(N / SAMPLES_PER_FRAME), D] float32``; row i is of what sounds about the middle of video frame i.
        """
        if samples.ndim != 2:
            raise ValueError(f"samples must be [B, N], got {tuple(samples.shape)}")
        frames = -(-samples.shape[1] // SAMPLES_PER_FRAME)
        samples = F.pad(samples, (0, frames * SAMPLES_PER_FRAME - samples.shape[1]))
        most = self.dimensions.window // SAMPLES_PER_FRAME
        margin = min(MARGIN_S * FRAME_HZ, (most - 1) // 2)
        parts = [samples.new_zeros(len(samples), 0, self.dimensions.width)]
        first = 0
        while first < frames:
            begin = max(0, first - margin) if frames > most else 0
            end = min(frames, begin + most)
            last = end if end == frames else end - margin
            heard = self._window(samples[:, begin * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME])
            parts.append(heard[:, first - begin : last - begin])
            first = last
        return torch.cat(parts, 1)

    def _window(self, samples: Tensor) -> Tensor:
        """``[B, N]``, whole video frames -> ``[B, N / SAMPLES_PER_FRAME, D]``."""
        size, frames = self.dimensions, samples.shape[1] // SAMPLES_PER_FRAME
        if size.normalise:
            spread, mean = torch.var_mean(samples, 1, keepdim=True, correction=0)
            samples = (samples - mean) / torch.sqrt(spread + 1e-7)
        if self._mels is not None:
            given = self._mels(F.pad(samples, (0, size.window - samples.shape[1])))
            # The middle of frame k: mel frame 2k, which is centred at its own hop.
            middle = 0.0
        else:
            side = size.field - size.step
            given = F.pad(samples, (side // 2, side - side // 2))
            middle = size.step / 2
        told = self.model(given, output_hidden_states=size.layer != -1)
        heard = told.last_hidden_state if size.layer == -1 else told.hidden_states[size.layer]
        return pool(heard.shape[1], frames, size.step, middle).to(heard) @ heard


def pool(count: int, frames: int, step: int, middle: float) -> Tensor:
    """Weights ``[frames, count]`` of an encoder's frames in our video frames: triangles one video frame to each side.

    Args:
        count: encoder's frames. frames: ours.
        step: samples from one of its frames to the next. middle: where its first one lies, in samples.
    """
    ours = (torch.arange(frames) + 0.5) * SAMPLES_PER_FRAME
    theirs = torch.arange(count) * float(step) + middle
    weights = (1 - (ours[:, None] - theirs).abs() / SAMPLES_PER_FRAME).clamp(min=0)
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-6)


def window_of(seconds: float = WINDOW_S) -> int:
    """Samples of a window: whole video frames."""
    return int(seconds * SAMPLE_HZ) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
