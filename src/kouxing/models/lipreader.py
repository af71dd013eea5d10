"""Lip reader: mouth pictures of a stretch of speech -> phones (methods.md section 4, lip-reading expert).

A 3-D convolution sees movement, 2-D ones shape, a two-way recurrent layer the neighbours; connectionist temporal
classification (Graves et al. 2006) needs no phone times. It sees what the sync discriminator sees.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kouxing.face.geometry import GEOMETRY
from kouxing.face.mouth_picture import HEIGHT_PX, WIDTH_PX

BLANK = 0
"""Class of "nothing new"; phone ``p`` is class ``p + 1``."""


@dataclass(frozen=True)
class LipReaderDimensions:
    """Sizes of the reader.

    Attributes:
        phones: symbols told apart, without blank.
        channels: feature maps at 1/2, 1/4, 1/8 and 1/16 of the mouth picture.
        seen: numbers a frame before the recurrent layer.
        hidden: units each way.
        geometry: numbers of mouth geometry that the helping head tells.
        dropout: before and behind the recurrent layer.
    """

    phones: int
    channels: tuple[int, int, int, int] = (24, 48, 96, 128)
    seen: int = 192
    hidden: int = 128
    geometry: int = GEOMETRY
    dropout: float = 0.3

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class LipReader(nn.Module):
    """``[B, T, 48, 64]`` grey pictures, 0..1 -> log probabilities ``[B, T, phones + 1]``."""

    def __init__(self, dimensions: LipReaderDimensions) -> None:
        super().__init__()
        self.dimensions = size = dimensions
        first, *others = size.channels
        self.front = nn.Conv3d(1, first, (5, 5, 5), (1, 2, 2), (2, 2, 2), bias=False)
        self.front_norm = nn.BatchNorm3d(first)
        layers: list[nn.Module] = []
        for before, after in zip(size.channels[:-1], others, strict=True):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.maps = nn.Sequential(*layers)
        area = (HEIGHT_PX // 16) * (WIDTH_PX // 16)
        self.seen = nn.Sequential(
            nn.Flatten(), nn.Dropout(size.dropout), nn.Linear(others[-1] * area, size.seen), nn.ReLU()
        )
        self.geometry = nn.Linear(size.seen, size.geometry)
        self.drop = nn.Dropout(size.dropout)
        self.recurrent = nn.GRU(size.seen, size.hidden, batch_first=True, bidirectional=True)
        self.last = nn.Linear(2 * size.hidden, size.phones + 1)
        # CTC alone says "blank" for very long; a second head, taught rough phone times, shows the way.
        self.timed = nn.Linear(2 * size.hidden, size.phones + 1)

    def look(self, pictures: Tensor, lengths: Tensor) -> Tensor:
        """Each frame with two on either side: ``[B, T, seen]``."""
        batch, frames, height, width = pictures.shape
        inside = (torch.arange(frames, device=pictures.device) < lengths[:, None])[:, :, None, None].to(pictures.dtype)
        # Light and contrast of a stretch are nobody's business.
        count = inside.sum((1, 2, 3), keepdim=True) * height * width
        mean = (pictures * inside).sum((1, 2, 3), keepdim=True) / count
        centred = (pictures - mean) * inside
        spread = (centred.square().sum((1, 2, 3), keepdim=True) / count).sqrt()
        x = (centred / (spread + 0.02))[:, None]
        x = F.relu(self.front_norm(self.front(x)))
        x = x.transpose(1, 2).reshape(batch * frames, -1, *x.shape[3:])
        x = self.maps(x.contiguous(memory_format=torch.channels_last))
        return self.seen(x.contiguous()).reshape(batch, frames, -1)

    def neighbours(self, seen: Tensor, lengths: Tensor) -> Tensor:
        """Each frame of ``look`` with the whole stretch around it: ``[B, T, 2 * hidden]``."""
        packed = pack_padded_sequence(self.drop(seen), lengths.cpu(), batch_first=True, enforce_sorted=False)
        heard, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=seen.shape[1])
        return self.drop(heard)

    def forward(self, pictures: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read stretches of speech.

        Args:
            pictures: ``[B, T, 48, 64]``, 0..1; what lies beyond a length is not looked at.
            lengths: ``[B] int64``, frames of each, 1..T.

        Returns:
            Log probabilities ``[B, T, phones + 1]``; of the helping heads, logits of the phone of each frame (0 =
            pause) in the same shape, and mouth geometry ``[B, T, geometry]``. Rows beyond a length are meaningless.
        """
        seen = self.look(pictures, lengths)
        known = self.neighbours(seen, lengths)
        return self.last(known).float().log_softmax(-1), self.timed(known), self.geometry(seen)
