"""Networks of other shapes in the place of ``lips``, for ``compare_lips.py``: their boxes, their sizes, their sound."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.audio.features import SILENT_MEL
from kouxing.data.footage import Footage
from kouxing.data.lips import LipsSamples
from kouxing.models import rivals
from kouxing.models.lips import PRESETS, LipsDimensions
from kouxing.types import Float
from kouxing.units import CROP_PX, HALF_PX, MEL_BANDS, MELS_PER_FRAME

MEL_FRAMES = 5
"""Video frames of sound that Wav2Lip sees: 0.2 s."""
EDGE_PX = 8


def resized(x: Tensor, side: int, how: str, antialias: bool = False) -> Tensor:
    """Squares ``[N, C, h, h]`` -> ``[N, C, side, side]``, in float32 whatever the rest runs in."""
    with torch.autocast(x.device.type, enabled=False):
        return F.interpolate(x.float(), (side, side), mode=how, align_corners=False, antialias=antialias)


class Sound(nn.Module):
    """Mel of five frames, ``[N, 5, 4 * 80]``, as Wav2Lip takes it: ``[N, 1, 80, 16]``."""

    def forward(self, audio: Tensor) -> Tensor:
        mel = audio.reshape(len(audio), 1, -1, MEL_BANDS).transpose(2, 3)
        return F.interpolate(mel, rivals.MEL_SHAPE, mode="bilinear", align_corners=False)


class Codes(nn.Module):
    """Heard mouth geometry, ``[N, 11, 16]``, in the place of the speech codes that Ultralight takes."""

    def __init__(self) -> None:
        super().__init__()
        each = rivals.CODES // rivals.CODE_FRAMES * rivals.CODE_SIDE**2
        self.widen = nn.Linear(PRESETS["fast"].features, each)

    def forward(self, audio: Tensor) -> Tensor:
        first = audio.shape[1] // 2 - rivals.CODE_FRAMES // 2
        codes = self.widen(audio[:, first : first + rivals.CODE_FRAMES])
        return codes.reshape(len(audio), rivals.CODES, rivals.CODE_SIDE, rivals.CODE_SIDE)


class Rival(nn.Module):
    """A network of another shape in the place of ``Lips``: its own box of the crop, one reference, its own size.

    Args:
        net: (sound, two faces ``[N, 6, px, px]``) -> face ``[N, 3, px, px]``.
        sound: audio features -> what ``net`` hears.
        px: its side.
        box: left, top and side of its square in the crop.
        dimensions: window and width of the audio features; the rest is not looked at.
    """

    def __init__(
        self, net: nn.Module, sound: nn.Module, px: int, box: tuple[int, int, int], dimensions: LipsDimensions
    ) -> None:
        super().__init__()
        self.net, self.sound, self.px, self.box, self.dimensions = net, sound, px, box, dimensions

    def forward(
        self, frame: Tensor, references: Tensor, audio: Tensor, own: Tensor, stances: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As ``Lips.forward``; trust and flow say nothing."""
        count = len(references) // len(own)
        left, top, side = self.box
        # Of three references from closed to open the middle one.
        picture = references.reshape(-1, count, *references.shape[1:])[:, count // 2]
        picture = picture.repeat_interleave(len(frame) // len(own), 0)
        faces = torch.cat([frame, picture], 1)[..., top : top + side, left : left + side]
        made = self.net(self.sound(audio), resized(faces, self.px, "bilinear", antialias=True))
        made = resized(made, side, "bicubic").clamp(0, 1)
        # Beside its box it paints nothing.
        lower = picture[:, :, HALF_PX:].clone()
        lower[:, :, : top + side - HALF_PX, left : left + side] = made[:, :, HALF_PX - top :]
        trust = frame.new_full((len(frame), count, 32, 64), 1 / count)
        return lower, trust, frame.new_zeros((len(frame), 2 * count, 32, 64))

    def cover(self) -> Float:
        """``[256, 256]``, 0..1: where it paints, with a soft edge."""
        left, top, side = self.box
        inside = np.zeros((CROP_PX, CROP_PX), np.float32)
        inside[top + EDGE_PX : top + side - EDGE_PX, left + EDGE_PX : left + side - EDGE_PX] = 1
        return np.asarray(cv2.blur(inside, (2 * EDGE_PX - 1, 2 * EDGE_PX - 1)), np.float32)


class Graph(nn.Module):
    """A rival's network in ONNX Runtime, where thin convolutions take a fifth of PyTorch's time on a CPU."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def forward(self, sound: Tensor, face: Tensor) -> Tensor:
        rows = zip(sound.numpy()[:, None], face.numpy()[:, None], strict=True)
        return torch.from_numpy(np.concatenate([self.session.run(None, {"sound": a, "face": b})[0] for a, b in rows]))


def export(rival: Rival, path: Path) -> Path:
    """A rival's network alone, for one frame, without box and resizing."""
    sound = rival.sound(torch.zeros(1, rival.dimensions.window, rival.dimensions.features))
    inputs = (sound, torch.zeros(1, 6, rival.px, rival.px))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The exporter talks on stdout.
    with redirect_stdout(io.StringIO()), torch.no_grad():
        torch.onnx.export(rival.net, inputs, str(path), input_names=["sound", "face"], dynamo=False)
    return path


class Copy(nn.Module):
    """No network: the middle reference's lower half, whatever is said."""

    dimensions = PRESETS["fast"]

    def forward(
        self, frame: Tensor, references: Tensor, audio: Tensor, own: Tensor, stances: Tensor
    ) -> tuple[Tensor, ...]:
        middle = references[len(references) // 2, :, HALF_PX:]
        return (middle.expand(len(frame), -1, -1, -1),)


def mel_rows(clip: Footage) -> Float:
    """Its sound, a row per video frame: ``[T, 4 * 80]``, 0 where it is silent."""
    return np.asarray(clip.mel.reshape(len(clip), MELS_PER_FRAME * MEL_BANDS) - SILENT_MEL, np.float32)


class MelSamples(LipsSamples):
    """The same batches with sound instead of mouth geometry as features."""

    def _tracked(self, place: int, rng: np.random.Generator) -> Float:
        # Drawn all the same, or everything else in the batch would be another.
        super()._tracked(place, rng)
        return mel_rows(self._footage[place])


def wav2lip() -> Rival:
    """Its box is a detector's: from brows to chin, the face wide."""
    size = LipsDimensions(window=MEL_FRAMES, features=MELS_PER_FRAME * MEL_BANDS)
    return Rival(rivals.Wav2Lip(), Sound(), rivals.WAV2LIP_PX, (32, 32, 192), size)


def ultralight() -> Rival:
    """Its box is as wide as the face and begins at the nose's bridge."""
    return Rival(rivals.Ultralight(), Codes(), rivals.ULTRALIGHT_PX, (40, 72, 176), PRESETS["fast"])
