"""A tiny data set made by code: drawn faces whose mouth opens with the loudness of their sound."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from fake_media import make_video
from kouxing.arkit import MEDIAPIPE
from kouxing.face.landmarks import ANCHOR_POINTS, JAW_POINTS, LIP_POINTS
from kouxing.units import FRAME_HZ

SIDE = 160
COLUMNS = ("id", "split", "speaker", "language", "seconds", "size_px", "face_px", "licence", "corpus", "source")


def lips_at(gap: float) -> np.ndarray:
    """``[40, 2]`` lip landmarks of the drawn face."""
    points = np.zeros((len(LIP_POINTS), 2), np.float32)
    for ring, (width, lift) in enumerate(((24, 6), (18, 0))):
        for k in range(20):
            place = min(k, 20 - k)
            across, bend = -np.cos(np.pi * place / 10), np.sin(np.pi * place / 10)
            points[ring * 20 + k] = 80 + across * width, 112 + (1 if k <= 10 else -1) * bend * (gap / 2 + lift)
    return points


ANCHORS = np.array([[48, 60], [64, 60], [96, 60], [112, 60], [80, 88], [80, 140], [28, 80], [132, 80]], np.float32)
_ROUND = np.linspace(np.pi, 0, len(JAW_POINTS))
JAW = np.stack([80 + 52 * np.cos(_ROUND), 80 + 62 * np.sin(_ROUND)], -1).astype(np.float32)


def picture(gap: float) -> np.ndarray:
    """The drawn face, ``[160, 160, 3]``."""
    image = np.full((SIDE, SIDE, 3), (90, 120, 160), np.uint8)
    cv2.ellipse(image, (80, 84), (52, 62), 0, 0, 360, (200, 170, 150), -1)
    for x in (56, 104):
        cv2.circle(image, (x, 60), 6, (40, 40, 40), -1)
    cv2.fillPoly(image, [lips_at(gap)[:20].astype(np.int32)], (180, 60, 70))
    cv2.fillPoly(image, [lips_at(gap)[20:].astype(np.int32)], (50, 10, 20))
    return image


def make_data(folder: Path, clips: int = 4, frames: int = 40) -> Path:
    """Write manifest, clips and tracks of two speakers: half of them ``train``, a quarter each ``val`` and ``test``."""
    assert len(ANCHOR_POINTS) == len(ANCHORS)
    (folder / "clips").mkdir(parents=True)
    (folder / "tracks").mkdir()
    rows = []
    for number in range(clips):
        rng = np.random.default_rng(number)
        gaps = 6 + 6 * np.sin(np.arange(frames) * rng.uniform(0.3, 0.6))
        name = f"clip-{number}"
        make_video(
            folder / "clips" / f"{name}.mp4", frames=frames, size=(SIDE, SIDE), sound_rate=16000,
            picture=lambda i, gaps=gaps: picture(gaps[i]),
        )  # fmt: skip
        np.savez(
            folder / "tracks" / f"{name}.npz",
            lips=np.stack([lips_at(gap) for gap in gaps]).astype(np.float16),
            anchors=np.repeat(ANCHORS[None], frames, 0).astype(np.float16),
            jaw=np.repeat(JAW[None], frames, 0).astype(np.float16),
            found=np.ones(frames, bool),
        )
        split = ("train", "train", "val", "test")[number % 4]
        rows.append((name, split, f"speaker-{number % 2}", "en", frames / FRAME_HZ, SIDE, 104, "open", "made", "code"))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return folder


def make_animated_data(folder: Path) -> Path:
    """``make_data`` whose tracks also hold blendshapes: the jaw opens with the mouth."""
    made = make_data(folder)
    for path in (made / "tracks").glob("*.npz"):
        with np.load(path) as file:
            stored = dict(file)
        shapes = np.zeros((len(stored["found"]), len(MEDIAPIPE)), np.float16)
        gap = np.linalg.norm(stored["lips"][:, 25] - stored["lips"][:, 35], axis=-1)
        shapes[:, MEDIAPIPE.index("jawOpen")] = gap / 40
        np.savez(path, **stored, blendshapes=shapes)
    return made
