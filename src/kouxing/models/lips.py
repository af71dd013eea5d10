"""``lips``: a face's frames + speech features -> the same face saying it (methods.md section 4).

Two stages, so that references are encoded once per job: ``encode`` makes their memory, ``paint`` makes a frame. The
decoder predicts, at low resolution, how to warp the references and which one to trust where; it paints only what no
reference shows. How far a reference is turned away from the frame is told by both heads' stances and carried by a
coarse warp of its own; the decoder's warp moves the mouth. Rows above the crop's middle never change, so only the lower
half is decoded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.models.layers import Attention, Modulate, PlainBlock, Residual, SpadeBlock, positions, start_small
from kouxing.units import CROP_PX, HALF_PX, PATCH_PX, PLACED_PX, exact

Memory = tuple[Tensor, ...]

MOST_SHARPENING = 3.0
"""Of the unsharp mask that gives back what bilinear warping takes from the finest detail."""
MOST_GREEN, MOST_BLUE, MOST_RED = 0.02, 0.04, 0.28
"""How far paint's green and blue may lie above its red, and its red above its green, of 0..1, unless the references' do
already: lips, teeth, tongue and the dark between them are red to grey, never green or violet, and never scarlet."""
MOST_VIOLET = 0.05
"""How far paint's blue may lie above its green, likewise: half of all people's lips have no more."""
MOST_YELLOW = 0.06
"""How far paint's blue may lie under its green, likewise: inside the open mouths of most people it does no more."""
LUMA = (0.299, 0.587, 0.114)
TURN_PACE = 8.0
"""The turn's weights reach about 1, the other layers' hundredths: it learns so many times as fast."""
DECISION = 8.0
"""Sharpens the choice between references: left at 1, it stays near a mean of all three, which is a blur."""


@dataclass(frozen=True)
class LipsDimensions:
    """Sizes of the generator.

    Attributes:
        references: R, reference frames.
        window: F, audio features around a frame.
        spacing: frames between them.
        features: D, numbers per audio feature: 16 of mouth geometry, then 15 of what is said.
        encoder: channels at 1/2, 1/4, 1/8, 1/16, 1/32 of the crop.
        fusion: token width at 1/32.
        heads: attention heads.
        drive: width of the vector that modulates the decoder.
        stance: numbers that stand for a head's turn (``face.stance``).
        decoder: channels after each of the M = 5 upsamplings.
        spade: each block refined by a SPADE block.
        reach_px: longest warp.
    """

    references: int = 3
    window: int = 11
    spacing: int = 1
    features: int = 31
    encoder: tuple[int, ...] = (16, 24, 48, 96, 128)
    fusion: int = 128
    heads: int = 4
    drive: int = 128
    stance: int = 14
    decoder: tuple[int, ...] = (112, 80, 48, 32, 16)
    spade: bool = False
    reach_px: float = 48.0

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


PRESETS = {
    "fast": LipsDimensions(),
    "fine": LipsDimensions(spade=True),
}


class ImageEncoder(nn.Module):
    """Picture ``[N, 3, 256, 256]`` -> feature maps at 1/4, 1/8, 1/16, 1/32."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        channels = (3, *widths)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(channels[:-1], channels[1:], strict=True)
        )
        self.blocks = nn.ModuleList(
            Residual(width) if place >= 2 else nn.Identity() for place, width in enumerate(widths)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for down, block in zip(self.down, self.blocks, strict=True):
            x = block(F.leaky_relu(down(x), 0.1))
            maps.append(x)
        return maps[1:]


class Fusion(nn.Module):
    """Two-way, many-to-many attention between audio tokens and image tokens (methods.md section 4, Fusion b-f)."""

    def __init__(self, size: LipsDimensions) -> None:
        super().__init__()
        width = size.fusion
        self.adapter = nn.Sequential(nn.Linear(size.features, width), nn.GELU(), nn.Linear(width, width))
        self.register_buffer("place", positions(size.window + size.references, width), persistent=False)
        self.image = nn.Conv2d(size.encoder[-1] * (1 + size.references), width, 1)
        self.self_attention = Attention(width, size.heads)
        self.from_image = Attention(width, size.heads)
        self.from_audio = Attention(width, size.heads)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        tokens = (CROP_PX // 32) ** 2
        self.register_buffer("upper", torch.arange(tokens) < tokens // 2, persistent=False)
        flat = (size.window + size.references) * size.features + (1 + size.references) * size.stance
        self.drive = nn.Sequential(
            nn.Linear(flat, 2 * size.drive), nn.GELU(), nn.Linear(2 * size.drive, size.drive), nn.GELU()
        )
        self.modulate = Modulate(size.drive, width)

    def forward(self, audio: Tensor, image: Tensor, stances: Tensor) -> tuple[Tensor, Tensor]:
        """Let sound and picture meet.

        Args:
            audio: ``[B, F + R, D]``.
            image: ``[B, (R + 1) * C, 8, 8]``.
            stances: ``[B, 1 + R, stance]`` of frame and references.

        Returns:
            Fused map ``[B, W, 8, 8]`` and drive ``[B, drive]``.
        """
        drive = self.drive(torch.cat([audio.flatten(1), stances.flatten(1)], 1))
        tokens = self.adapter(audio) + self.place
        tokens = self.norms[0](tokens + self.self_attention(tokens, tokens))
        image = self.modulate(self.image(image), drive)
        batch, width, height, across = image.shape
        places = image.flatten(2).transpose(1, 2)
        # The upper half is shut: audio takes from the lower halves of the references only.
        tokens = self.norms[1](tokens + self.from_image(tokens, places, self.upper))
        places = self.norms[2](places + self.from_audio(places, tokens))
        return places.transpose(1, 2).reshape(batch, width, height, across), drive


class Turn(nn.Module):
    """Coarse warp from a turned head to the one wanted: ``[B * R, 2, 32, 64]`` in halves of the crop.

    Mostly linear in the difference of stances: measured on strangers, that leaves 4 of 17 px at the jaw's corners.
    """

    def __init__(self, size: LipsDimensions) -> None:
        super().__init__()
        self.references = size.references
        self.linear = nn.Linear(size.stance, 2 * 4 * 8)
        self.rest = nn.Sequential(nn.Linear(2 * size.stance, 64), nn.GELU(), nn.Linear(64, 2 * 4 * 8))
        start_small(self.linear, 1e-3)
        start_small(self.rest[2], 1e-3)  # type: ignore[arg-type]

    def forward(self, stances: Tensor) -> Tensor:
        """``[B, 1 + R, stance]`` of frame and references."""
        away = stances[:, 1:] - stances[:, :1]
        wanted = stances[:, :1].expand(-1, self.references, -1)
        coarse = TURN_PACE * (self.linear(away) + self.rest(torch.cat([away, wanted], -1)))
        return upsample(coarse.reshape(-1, 2, 4, 8).float(), 8)


def warp(images: Tensor, flow: Tensor, top: float) -> Tensor:
    """Sample pictures where a flow points.

    Args:
        images: ``[N, C, H, W]`` whole pictures (or feature maps).
        flow: ``[N, 2, h, w]`` (x, y) in units of half a picture, for the rows from share ``top`` of the picture down.
        top: 0..1.

    Returns:
        ``[N, C, h, w]``.
    """
    _, _, height, width = flow.shape
    # In float32 whatever the rest runs in: bfloat16 has 8 bits, too few for a pixel's place in a row of 256.
    flow = flow.float()
    y = top + (1 - top) * (torch.arange(height, device=flow.device, dtype=flow.dtype) + 0.5) / height
    x = (torch.arange(width, device=flow.device, dtype=flow.dtype) + 0.5) / width
    base = torch.stack([x[None].expand(height, width), y[:, None].expand(height, width)], -1) * 2 - 1
    grid = base + flow.permute(0, 2, 3, 1)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def neighbours(pictures: Tensor) -> Tensor:
    """Every pixel of ``[R, 3, H, W]`` with its right, lower and lower right ones: ``[R * H * W, 12]``.

    What a warp takes for one place then lies together, which ONNX Runtime's own sampling takes three times as long for.
    """
    right = torch.cat([pictures[..., 1:], pictures[..., -1:]], 3)
    four = torch.stack([pictures, right], 1)
    four = torch.cat([four, torch.cat([four[..., 1:, :], four[..., -1:, :]], 3)], 1)
    return four.permute(0, 3, 4, 1, 2).reshape(-1, 4 * pictures.shape[1])


def mixed_neighbours(table: Tensor, flow: Tensor, trust: Tensor, left: Tensor | None = None) -> Tensor:
    """``Lips._mix`` for one frame, out of ``neighbours`` of whole pictures (0..255) instead of the pictures.

    Args:
        table: ``[R * 256 * 256, 12]``.
        flow: ``[1, 2 * R, 128, W]``, as in ``warp``, for the lower half.
        trust: ``[1, R, 128, W]``.
        left: ``[1]`` int64, the crop's column that is the first of the ``W``; 0 by default.

    Returns:
        ``[1, 3, 128, W]``, 0..1.
    """
    count, (height, width) = trust.shape[1], flow.shape[2:]
    flow = flow.reshape(count, 2, height, width)
    columns = torch.arange(width, dtype=flow.dtype)
    if left is not None:
        columns = columns + left.to(flow.dtype)
    x = (columns + HALF_PX * flow[:, 0]).clamp(0, CROP_PX - 1)
    y = (torch.arange(HALF_PX, CROP_PX, dtype=flow.dtype)[:, None] + HALF_PX * flow[:, 1]).clamp(0, CROP_PX - 1)
    left, top = x.floor(), y.floor()
    first = CROP_PX * CROP_PX * torch.arange(count, dtype=flow.dtype)[:, None, None]
    # Exact: places are whole numbers below 2^24.
    places = (first + CROP_PX * top + left).to(torch.int32)
    below = trust[0] * (y - top)
    above = trust[0] - below
    across = x - left
    shares = (above - above * across, above * across, below - below * across, below * across)
    # One after the other: what lies between stays in the cache, and a sum over an axis is the slower operator.
    total: Tensor | None = None
    for place in range(count):
        taken = table[places[place]].permute(2, 0, 1).float()
        for part, share in enumerate(shares):
            mixed = taken[3 * part : 3 * part + 3] * share[place]
            total = mixed if total is None else total + mixed
    assert total is not None
    return total[None] / 255.0


def softmax(scores: Tensor) -> Tensor:
    """``[N, R, H, W]`` -> the same, adding up to 1 over R; ONNX Runtime's own turns the maps around for that."""
    likely = torch.exp(scores - scores.amax(1, keepdim=True))
    total = likely[:, :1]
    for place in range(1, likely.shape[1]):
        total = total + likely[:, place : place + 1]
    return likely / total


def sharpened(x: Tensor, amount: Tensor) -> Tensor:
    """Unsharp mask over 3x3 places: ``x [N, C, H, W]`` plus ``amount [N, 1, H, W]`` times its finest detail."""
    # Sums of slices: ONNX Runtime's pooling of three channels takes three times as long.
    wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = wide[:, :, :, :-2] + wide[:, :, :, 1:-1] + wide[:, :, :, 2:]
    around = (across[:, :, :-2] + across[:, :, 1:-1] + across[:, :, 2:]) / 9
    return x + amount * (x - around)


def mouth_hue(painted: Tensor, shown: Tensor) -> Tensor:
    """Painted colours ``[N, 3, H, W]`` with no more of a colour than mouths have, or than ``shown`` has there."""
    over = shown - shown[:, :1]
    # Too red a colour keeps its brightness and its hue.
    limit = (-over[:, 1:2]).clamp(min=MOST_RED)
    share = limit / torch.maximum(painted[:, :1] - painted[:, 1:2], limit)
    brightness = (painted * painted.new_tensor(LUMA).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    painted = brightness + (painted - brightness) * share
    above = painted.new_tensor([0.0, MOST_GREEN, MOST_BLUE]).reshape(1, 3, 1, 1)
    painted = torch.minimum(painted, painted[:, :1] + torch.maximum(over, above))
    over, green = shown[:, 2:] - shown[:, 1:2], painted[:, 1:2]
    most, least = green + over.clamp(min=MOST_VIOLET), green + over.clamp(max=-MOST_YELLOW)
    return torch.cat([painted[:, :2], torch.maximum(torch.minimum(painted[:, 2:], most), least)], 1)


def upsample(x: Tensor, factor: int = 2) -> Tensor:
    """Bilinear enlargement of ``[N, C, H, W]``."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def stretched(x: Tensor, factor: int) -> Tensor:
    """``upsample`` as two products, which ONNX Runtime does in a fraction of the time where channels are few."""

    def taps(count: int) -> Tensor:
        one = torch.eye(count, dtype=x.dtype, device=x.device)[None]
        return F.interpolate(one, scale_factor=factor, mode="linear", align_corners=False)[0]

    return taps(x.shape[2]).T @ (x @ taps(x.shape[3]))


def lower(x: Tensor) -> Tensor:
    """The lower half of the rows."""
    return x[:, :, x.shape[2] // 2 :]


class Lips(nn.Module):
    """The generator; see the module's docstring."""

    def __init__(self, dimensions: LipsDimensions) -> None:
        super().__init__()
        self.dimensions = size = dimensions
        self.frame_encoder = ImageEncoder(size.encoder)
        self.reference_encoder = ImageEncoder(size.encoder)
        self.fusion = Fusion(size)
        block = SpadeBlock if size.spade else PlainBlock
        incoming = (size.fusion, *size.decoder[:-1])
        # Levels 1/16, 1/8 and 1/4 are guided by frame and references there, 1/2 and 1/1 by the warped references.
        one = [size.encoder[3], size.encoder[2], size.encoder[1]]
        guides = [width * (1 + size.references) for width in one] + [12, 3]
        self.enter = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(incoming, size.decoder, strict=True))
        self.blocks = nn.ModuleList(
            block(width, guide, size.drive) for width, guide in zip(size.decoder, guides, strict=True)
        )
        self.turn = Turn(size)
        self.where = nn.Conv2d(size.decoder[2], 3 * size.references, 3, padding=1)
        start_small(self.where, 1e-3)
        # Colour, gate and sharpening; the gate starts nearly shut: what a reference shows is not painted.
        self.paint_out = nn.Conv2d(size.decoder[4], 5, 3, padding=1)
        nn.init.normal_(self.paint_out.weight, std=1e-2)
        self.paint_out.bias = nn.Parameter(torch.tensor([0.0, 0.0, 0.0, -3.0, 0.0]))

    def encode(self, references: Tensor) -> Memory:
        """Memory of the references, once per job.

        Args:
            references: ``[B * R, 3, 256, 256]``, 0..1.

        Returns:
            Maps at 1/4, 1/8 and 1/16 (lower halves) and 1/32 (whole), each ``[B * R, C, h, w]``.
        """
        quarter, eighth, sixteenth, last = self.reference_encoder(references)
        return lower(quarter), lower(eighth), lower(sixteenth), last

    def paint(
        self, frame: Tensor, references: Tensor, memory: Memory, audio: Tensor, own: Tensor, stances: Tensor,
        left: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Lower halves of the frames.

        Args:
            frame: ``[B, 3, 256, 256]``, 0..1, the lower half already set to zero.
            references: ``[B * R, 3, 256, 256]``, 0..1; or, for a single frame, ``neighbours`` of them, 0..255.
            memory: from ``encode``.
            audio: ``[B, F, D]`` audio features, already multiplied by the mouth-opening coefficient.
            own: ``[B, R, D]`` the references' own mouth geometry.
            stances: ``[B, 1 + R, stance]`` of frame and references.
            left: ``[1]`` int64, a multiple of ``PLACED_PX``: only ``PATCH_PX`` columns from this one on are painted, of
                a single frame out of ``neighbours``. Some 16 at either edge differ a little from those of the whole.

        Returns:
            ``[B, 3, 128, 256]``, 0..1; of a part ``[1, 3, 128, PATCH_PX]``.
        """
        return self._paint(frame, references, memory, audio, own, stances, left)[0]

    def _paint(
        self, frame: Tensor, references: Tensor, memory: Memory, audio: Tensor, own: Tensor, stances: Tensor,
        left: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """As ``paint``; also which reference is trusted where, and its warp (see ``forward``)."""
        count = self.dimensions.references
        batch = frame.shape[0]
        quarter, eighth, sixteenth, last = memory

        def joined(mine: Tensor, theirs: Tensor) -> Tensor:
            return torch.cat([mine, theirs.reshape(batch, -1, *theirs.shape[2:])], 1)

        frame_4, frame_8, frame_16, frame_32 = self.frame_encoder(frame)
        fused, drive = self.fusion(torch.cat([audio, own], 1), joined(frame_32, last), stances)
        x = lower(fused)
        x = self._level(0, x, joined(lower(frame_16), sixteenth), drive)
        x = self._level(1, x, joined(lower(frame_8), eighth), drive)
        x = self._level(2, x, joined(lower(frame_4), quarter), drive)
        where = self.where(F.leaky_relu(x, 0.1))
        moved = torch.tanh(where[:, : 2 * count].float()) * (self.dimensions.reach_px / HALF_PX)
        flow = moved + self.turn(stances).reshape(batch, 2 * count, *moved.shape[2:])
        trust = softmax(where[:, 2 * count :].float() * DECISION)
        placed = torch.cat([flow, trust], 1)
        if left is None:
            guided = upsample(placed, PLACED_PX)
        else:
            columns = torch.div(left, PLACED_PX, rounding_mode="trunc") + torch.arange(exact(PATCH_PX, PLACED_PX))
            x, placed = (part.index_select(3, columns) for part in (x, placed))
            guided = stretched(placed, PLACED_PX)
        shown = self._mix(references, guided[:, : 2 * count], guided[:, 2 * count :], count, left)
        x = self._level(3, x, F.pixel_unshuffle(shown, 2), drive)
        x = self._level(4, x, shown, drive)
        painted = self.paint_out(F.leaky_relu(x, 0.1)).float()
        strength = torch.sigmoid(painted[:, 3:])
        shown = sharpened(shown, MOST_SHARPENING * strength[:, 1:])
        colour = mouth_hue(torch.sigmoid(painted[:, :3]), shown)
        return (shown + (colour - shown) * strength[:, :1]).clamp(0, 1), trust, flow

    def forward(
        self, frame: Tensor, references: Tensor, audio: Tensor, own: Tensor, stances: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As ``paint`` after ``encode``, for training.

        With S frames per reference set, ``frame`` is ``[B * S, ...]``, ``audio`` ``[B * S, F, D]`` and ``stances``
        ``[B * S, 1 + R, stance]`` while ``references`` is ``[B * R, ...]`` and ``own`` ``[B, R, D]``.

        Returns:
            The lower halves; how much each reference is trusted, ``[B * S, R, 32, 64]``, adding up to 1; and its warp,
            ``[B * S, 2 * R, 32, 64]``: where in the reference each place is taken from, in halves of the crop.
        """
        each = frame.shape[0] // own.shape[0]
        count = self.dimensions.references

        def repeat(x: Tensor) -> Tensor:
            grouped = x.reshape(-1, 1, count, *x.shape[1:]).expand(-1, each, -1, *(-1 for _ in x.shape[1:]))
            return grouped.reshape(-1, *x.shape[1:])

        memory = tuple(repeat(part) for part in self.encode(references))
        return self._paint(frame, repeat(references), memory, audio, own.repeat_interleave(each, 0), stances)

    def _level(self, place: int, x: Tensor, guide: Tensor, drive: Tensor) -> Tensor:
        return self.blocks[place](F.leaky_relu(self.enter[place](upsample(x)), 0.1), guide, drive)

    @staticmethod
    def _mix(pictures: Tensor, flow: Tensor, trust: Tensor, count: int, left: Tensor | None = None) -> Tensor:
        """Warp each reference by its own flow and add them by trust: ``[B * R, C, H, W]`` -> ``[B, C, h, w]``.

        ``trust [B, R, h, w]`` adds up to 1: the softmax is taken before enlarging, which costs a sixteenth.
        """
        if pictures.ndim == 2:
            return mixed_neighbours(pictures, flow, trust, left)
        batch, _, height, width = flow.shape
        warped = warp(pictures, flow.reshape(batch * count, 2, height, width), 0.5)
        warped = warped.reshape(batch, count, -1, height, width)
        # One after the other: a sum over an axis is the slower operator.
        mixed = warped[:, 0] * trust[:, :1]
        for place in range(1, count):
            mixed = mixed + warped[:, place] * trust[:, place : place + 1]
        return mixed
