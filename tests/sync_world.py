"""A world in which sync is known: mouths brighten as the sound grows loud, and a judge sees and hears just that."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fake_media import make_video
from kouxing.face.crop import apply, invert
from kouxing.face.offset import Calibration
from kouxing.face.track import Observation
from kouxing.types import Bytes, Float, VideoFrame
from kouxing.units import CROP_PX, FRAME_HZ, MELS_PER_FRAME

SIZE = (320, 240)
FACE_PX = 80
"""Side of the square that the crop covers."""
MIDDLES = ((90.0, 110.0), (230.0, 110.0))
"""Of the two faces, in pixels."""
SOUND_HZ = 48_000
WINDOW = 5


def code(frames: int, seed: int = 0) -> NDArray[np.float64]:
    """``[frames]``, 0..1: how open or loud at each frame."""
    return np.random.default_rng(seed).uniform(0, 1, frames)


def sound_of(codes: NDArray[np.float64], late: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise as loud as the codes say, ``late`` frames later than they do; NaN: silence."""
    count = round(len(codes) / FRAME_HZ * SOUND_HZ)
    frame = np.floor(np.arange(count) / SOUND_HZ * FRAME_HZ - late).astype(int)
    inside = (frame >= 0) & (frame < len(codes))
    loud = np.where(inside, codes[np.clip(frame, 0, len(codes) - 1)], 0.5)
    level = np.where(np.isnan(loud), 0.0, 10 ** (-2 + 1.3 * np.nan_to_num(loud)))
    noise = np.random.default_rng(seed).standard_normal(count)
    return (level * noise * 0.5).clip(-1, 1).astype(np.float32)


def talk(
    path: Path,
    seconds: float = 6.0,
    late: float = 0.0,
    *,
    mouths: Sequence[NDArray[np.float64] | None] | None = None,
    heard: NDArray[np.float64] | None = None,
    samples: NDArray[np.float32] | None = None,
    rate: int = FRAME_HZ,
    times: Sequence[Fraction] | None = None,
    dark: Sequence[tuple[float, float]] = (),
    sound: bool = True,
    rotation: int = 0,
    **more: Any,
) -> None:
    """A video of two places for faces, the sound ``late`` frames late.

    Args:
        mouths: for each place its codes at 25 a second, or None for nobody; one person by default.
        heard: codes of the sound, the first person's by default. samples: the sound itself instead.
        times: of the frames, in seconds.
        dark: parts in seconds in which nobody is seen.
        rotation: degrees that the stored picture must be turned by to be upright.
    """
    frames = round(seconds * FRAME_HZ)
    said = code(frames)
    mouths = (said, None) if mouths is None else mouths
    shown = list(times) if times is not None else [Fraction(k, rate) for k in range(round(seconds * rate))]

    def picture(number: int) -> Bytes:
        moment = float(shown[number])
        image = np.full((SIZE[1], SIZE[0], 3), 0 if any(a <= moment < b for a, b in dark) else 70, np.uint8)
        for middle, codes in zip(MIDDLES, mouths, strict=True):
            if codes is not None and image.max():
                value = codes[min(int(moment * FRAME_HZ + 1e-6), len(codes) - 1)]
                x, y = round(middle[0]), round(middle[1])
                image[y - 6 : y + 34, x - 26 : x + 26] = 40 + round(200 * float(np.nan_to_num(value)))
        return np.ascontiguousarray(np.rot90(image, -rotation // 90))

    wave = samples if samples is not None else sound_of(said if heard is None else heard, late)
    options: dict[str, Any] = {"sound_rate": SOUND_HZ, "samples": wave} if sound else {}
    size = SIZE[::-1] if rotation % 180 else SIZE
    make_video(path, size=size, times=shown, rate=rate, picture=picture, rotation=rotation, **options, **more)


class Place:
    """A tracker of the face at one place; dark pictures show nobody, bright jumps of the wall are cuts."""

    def __init__(self, follow: int = 0) -> None:
        self.follow = follow
        self.count = 0
        self.closed = False
        self.people = 1

    @property
    def faces(self) -> int:
        return self.people

    def push(self, image: VideoFrame) -> Observation:
        self.count += 1
        blank = [np.full((rows, 2), np.nan, np.float32) for rows in (40, 8, 21)]
        if float(np.mean(image.planes[0])) < 30 or self.follow >= self.people:
            return Observation(False, False, *blank)
        scale = CROP_PX / FACE_PX
        x, y = MIDDLES[self.follow]
        matrix = np.array([[scale, 0, CROP_PX / 2 - scale * x], [0, scale, CROP_PX / 2 - scale * y]], np.float32)
        points = np.array(
            [[79, 70], [103, 70], [153, 70], [177, 70], [128, 122], [128, 230], [40, 110], [216, 110]], np.float32
        )
        return Observation(True, False, blank[0], apply(invert(matrix), points), blank[2])

    def track(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


class Two(Place):
    """Tells that there are two people."""

    def __init__(self, follow: int = 0) -> None:
        super().__init__(follow)
        self.people = 2


class Brightness:
    """A judge: windows of five brightnesses against windows of five loudnesses."""

    mouth_frames = WINDOW
    speech_mels = WINDOW * MELS_PER_FRAME
    calibration: Calibration | None = Calibration(8.0, (0.0, 6.0, 0.0, 0.0, -9.0))

    def embed_mouths(self, pictures: Bytes) -> Float:
        return _windows(pictures.mean((1, 2)))

    def embed_speech(self, mel: Float) -> Float:
        frames = len(mel) // MELS_PER_FRAME
        return _windows(mel[: frames * MELS_PER_FRAME].mean(1).reshape(frames, MELS_PER_FRAME).mean(1))


def _windows(values: NDArray) -> Float:
    result = np.full((len(values), WINDOW), np.nan, np.float32)
    if len(values) < WINDOW:
        return result
    rows = np.lib.stride_tricks.sliding_window_view(values.astype(np.float64), WINDOW)
    rows = rows - rows.mean(1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    steady = length[:, 0] < 1e-3
    rows = np.where(steady[:, None], np.eye(1, WINDOW), rows / np.maximum(length, 1e-9))
    result[WINDOW // 2 : len(values) - WINDOW // 2] = rows
    return result
