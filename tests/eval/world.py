"""A small fake world for the judge: drawn faces whose mouths and voices are known, and parts that can be told to fail.

The face is 140 px wide, upright and still; only its mouth's dark opening moves. The fake tracker reads the opening from
the pixels, the fake speech encoder from the sound's level, so the judge's loop is closed through real pictures.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from kouxing.audio.features import LOG_SCALE, LOG_SHIFT, log_mel
from kouxing.face import geometry
from kouxing.face.mouth_picture import SHRINK
from kouxing.face.paste import paste
from kouxing.infer.parts import Parts
from kouxing.infer.references import References
from kouxing.media.colour import to_rgb
from kouxing.types import Bytes, FaceTrack, Float, VideoFrame
from kouxing.units import CROP_PX, MEL_BANDS, MELS_PER_FRAME, SAMPLE_HZ, SAMPLES_PER_FRAME

SIZE = 240
FACE_PX = 140
MOUTH = (120, 165)
MOUTH_WIDTH = 44
ANCHORS = [[78, 90], [102, 90], [138, 90], [162, 90], [120, 132], [120, 212], [50, 100], [190, 100]]
CROP_SCALE = 74 / 60
"""The eyes are 60 px apart in the frame and 74 px in the crop."""
MOUTH_IN_CROP = (128.0, 70 + (MOUTH[1] - 90) * CROP_SCALE)
LOUDEST = 0.5
WIDEST = 0.12


def apertures(frames: int, seed: int) -> Float:
    """A speech-like curve of openings in face widths with a pause in it (opening 0)."""
    draw = np.random.default_rng(seed).normal(size=frames + 20)
    smooth = np.convolve(draw, np.hanning(9), "same")[10:-10]
    curve = WIDEST * np.clip((smooth - smooth.min()) / np.ptp(smooth), 0.15, 1)
    pause = 5 + seed * 7 % (frames - 20)
    curve[pause : pause + 8] = 0
    return curve.astype(np.float32)


@lru_cache(maxsize=1)
def _skin() -> Bytes:
    image = np.full((SIZE, SIZE, 3), (60, 80, 110), np.float64)
    cv2.ellipse(image, (120, 120), (FACE_PX // 2, 95), 0, 0, 360, (190, 150, 130), -1)
    for x in (90, 150):
        cv2.circle(image, (x, 90), 8, (40, 30, 30), -1)
    grain = np.random.default_rng(0).normal(0, 10, (SIZE // 2, SIZE // 2))
    image += cv2.resize(grain, (SIZE, SIZE))[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)


def draw_mouth(image: Bytes, centre: tuple[float, float], width: float, gap: float) -> Bytes:
    """A dark opening ``gap`` pixels high, its edge anti-aliased."""
    if gap <= 0:
        return image
    made = image.copy()
    left, right = round(centre[0] - width / 2), round(centre[0] + width / 2)
    y = np.arange(image.shape[0], dtype=np.float64)
    alpha = np.clip(gap / 2 - np.abs(y - centre[1]) + 0.5, 0, 1)[:, None, None]
    made[:, left:right] = (image[:, left:right] * (1 - alpha) + 15 * alpha).astype(np.uint8)
    return made


def face(opening: float) -> Bytes:
    """The whole picture with the mouth open by ``opening`` face widths."""
    return draw_mouth(_skin(), MOUTH, MOUTH_WIDTH, opening * FACE_PX)


def voice(openings: Float, seed: int = 0) -> Float:
    """Noise as loud as the mouth is open."""
    noise = np.random.default_rng(seed).uniform(-1, 1, len(openings) * SAMPLES_PER_FRAME)
    return (noise * np.repeat(openings / WIDEST * LOUDEST, SAMPLES_PER_FRAME)).astype(np.float32)


class Tracker:
    """Reads the mouth's opening from the pixels; sees no face where the eyes are missing."""

    def __init__(self) -> None:
        self._gaps: list[float] = []

    def push(self, frame: VideoFrame) -> None:
        image_rgb = to_rgb(frame)
        if image_rgb[90, 90].mean() > 60:
            self._gaps.append(np.nan)
            return
        x, y = MOUTH
        column = image_rgb[y - 18 : y + 19, x - 8 : x + 9].mean((1, 2))
        self._gaps.append(float(np.clip((140 - column) / (140 - 15), 0, 1).sum()))

    def close(self) -> None:
        """Nothing to free."""

    def track(self) -> FaceTrack:
        gaps = np.array(self._gaps, np.float32)
        found = np.isfinite(gaps)
        lips = np.stack([_lips(gap) for gap in gaps])
        anchors = np.tile(np.array(ANCHORS, np.float32), (len(gaps), 1, 1))
        angles = np.linspace(np.pi, 0, 21)
        outline = np.stack([120 + 70 * np.cos(angles), 100 + 112 * np.sin(angles)], 1)
        jaw = np.tile(outline.astype(np.float32), (len(gaps), 1, 1))
        for points in (anchors, jaw, lips):
            points[~found] = np.nan
        return FaceTrack(lips, anchors, jaw, found, np.zeros(len(gaps), bool))


def _lips(gap: float) -> Float:
    """Both rings, from the right corner along the lower lip to the left one and back along the upper lip."""
    angles = np.pi - np.arange(20) / 20 * 2 * np.pi
    rings = []
    for half, more in ((MOUTH_WIDTH / 2 + 4, 8.0), (MOUTH_WIDTH / 2, 0.0)):
        rings.append(np.stack([MOUTH[0] + half * np.cos(angles), MOUTH[1] + (gap / 2 + more) * np.sin(angles)], 1))
    return np.concatenate(rings).astype(np.float32)


@lru_cache(maxsize=1)
def _unit() -> Float:
    """The geometry that opens the lips by one crop pixel."""
    slope = geometry.opening(np.eye(geometry.GEOMETRY, dtype=np.float32))
    return np.asarray(slope / (slope @ slope), np.float32)


def features_of(openings: Float) -> Float:
    """``[T]`` openings in face widths -> ``[T, 16]`` geometry."""
    return np.asarray(openings[:, None] * FACE_PX * CROP_SCALE * _unit(), np.float32)


class Stream:
    """Level of each video frame's sound -> geometry."""

    def push(self, samples: Float) -> Float:
        frames = samples[: len(samples) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].reshape(-1, SAMPLES_PER_FRAME)
        level = np.sqrt((frames.astype(np.float64) ** 2).mean(1) * 3)
        return features_of((level / LOUDEST * WIDEST).astype(np.float32))

    def finish(self) -> Float:
        return np.zeros((0, geometry.GEOMETRY), np.float32)


@lru_cache(maxsize=1)
def _closed() -> Bytes:
    """The crop of the face with its mouth shut."""
    shift = np.array([128, 70]) - CROP_SCALE * np.array([120, 90])
    matrix = np.array([[CROP_SCALE, 0, shift[0]], [0, CROP_SCALE, shift[1]]])
    return np.asarray(cv2.warpAffine(face(0.0), matrix, (CROP_PX, CROP_PX), borderMode=cv2.BORDER_REPLICATE), np.uint8)


class Judge:
    """A sync discriminator that knows the drawn world: dark rows of the mouth and loudness, each as an angle."""

    mouth_frames, speech_mels, calibration = 1, MELS_PER_FRAME, None

    def embed_mouths(self, pictures: Bytes) -> Float:
        dark = np.clip((140.0 - pictures[:, 10:34, 28:37]) / 125, 0, 1).mean(2).sum(1)
        return _turned(dark * SHRINK / CROP_SCALE / FACE_PX / WIDEST)

    def embed_speech(self, mel: Float) -> Float:
        return _turned(_loudness(mel) / _loudness(log_mel(voice(np.full(20, WIDEST, np.float32)))).mean())


def _loudness(mel: Float) -> Float:
    power = np.exp(mel * LOG_SCALE - LOG_SHIFT).reshape(-1, MELS_PER_FRAME * MEL_BANDS).mean(1)
    return np.asarray(np.sqrt(power), np.float32)


def _turned(share: Float) -> Float:
    angle = np.clip(share, 0, 1) * np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


class Network:
    """Shuts the mouth and opens it as the speech says."""

    def set_references(self, references: References) -> None:
        assert references.crops.shape == (3, CROP_PX, CROP_PX, 3) and references.geometry.shape == (3, 16)

    def paint(self, crop: Bytes, anchors: Float, features: Float, mouth: float) -> Bytes:
        gap = float(geometry.opening(features[len(features) // 2])) * mouth
        made = crop.copy()
        made[140:200, 80:176] = _closed()[140:200, 80:176]
        return draw_mouth(made, MOUTH_IN_CROP, MOUTH_WIDTH * CROP_SCALE, gap)


class Late(Network):
    """Says everything so many frames too late."""

    def __init__(self, frames: int) -> None:
        self._frames = frames

    def paint(self, crop: Bytes, anchors: Float, features: Float, mouth: float) -> Bytes:
        return super().paint(crop, anchors, np.roll(features, self._frames, 0), mouth)


class Deaf(Network):
    """Moves the mouth, but not to the speech."""

    def __init__(self) -> None:
        self._draw = np.random.default_rng(4)

    def paint(self, crop: Bytes, anchors: Float, features: Float, mouth: float) -> Bytes:
        return super().paint(crop, anchors, features_of(self._draw.uniform(0.02, WIDEST, len(features))), 1.0)


class Blurred(Network):
    """Right in time, but without detail."""

    def paint(self, crop: Bytes, anchors: Float, features: Float, mouth: float) -> Bytes:
        return np.asarray(cv2.GaussianBlur(super().paint(crop, anchors, features, mouth), (0, 0), 4), np.uint8)


def parts(network: Callable[[], Any] = Network, put_back: Any = paste, name: str = "one") -> Parts:
    """The fake world's parts around a network and a paste."""
    return Parts(
        tracker=lambda follow: Tracker(),
        speech=Stream,
        lips=lambda preset: network(),
        paste=put_back,
        identity=lambda preset: {"network": name},
    )


def spoiled_paste(frame: VideoFrame, *rest: Any) -> VideoFrame:
    """The real paste, and one sample changed in the frame's corner."""
    made = paste(frame, *rest)
    luma = made.planes[0].copy()
    luma[0, 0] ^= 1
    return VideoFrame((luma, *made.planes[1:]), made.pts, made.time_base, made.colour)


def write_clip(path: Path, openings: Float, seed: int) -> None:
    """An mp4 of the face saying its voice, 25 fps, nearly lossless."""
    with av.open(str(path), "w") as out:
        picture: Any = out.add_stream("libx264", rate=Fraction(25), options={"crf": "2", "preset": "ultrafast"})
        picture.width, picture.height, picture.pix_fmt = SIZE, SIZE, "yuv420p"
        sound: Any = out.add_stream("aac", rate=SAMPLE_HZ, layout="mono")
        for opening in openings:
            out.mux(picture.encode(av.VideoFrame.from_ndarray(face(float(opening)), "rgb24")))
        out.mux(picture.encode(None))
        block = av.AudioFrame.from_ndarray(voice(openings, seed)[None], "fltp", "mono")
        # With a time the encoder counts its own delay; without one the sound would come 64 ms late.
        block.sample_rate, block.pts, block.time_base = SAMPLE_HZ, 0, Fraction(1, SAMPLE_HZ)
        out.mux(sound.encode(block))
        out.mux(sound.encode(None))


def write_data(folder: Path, clips: Sequence[tuple[str, str, str]], frames: int = 50) -> Path:
    """A data folder with clips of (id, speaker, corpus), all of them in split ``test``."""
    (folder / "clips").mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "split", "speaker", "language", "seconds", "licence", "corpus"])
        for seed, (name, speaker, corpus) in enumerate(clips):
            write_clip(folder / "clips" / f"{name}.mp4", apertures(frames, seed), seed)
            table.writerow([name, "test", speaker, "en", frames / 25, "open", corpus])
    return folder
