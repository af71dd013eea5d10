"""How well lips and sound of the clips agree: offset and confidence by the sync discriminator, read off the clips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kouxing.audio.features import frame_mels, log_mel
from kouxing.audio.silence import silent_frames
from kouxing.data.manifest import Clip
from kouxing.data.tracks import read_track
from kouxing.face.crop import crop_face, crop_matrices
from kouxing.face.mouth_picture import mouth_pictures
from kouxing.face.offset import similarities
from kouxing.infer.discriminator import Discriminator
from kouxing.infer.prepare.plan import Chunk, Places, Row
from kouxing.infer.score_sure import Ruler
from kouxing.media.colour import to_rgb
from kouxing.media.reader import load_sound, read_video
from kouxing.units import FRAME_HZ, SAMPLE_HZ


@dataclass(frozen=True)
class Judging:
    """Clips of a chunk, by name."""

    places: Places
    chunk: Chunk
    names: tuple[str, ...]


def judge(task: Judging) -> Row:
    """Offset and confidence of each clip.

    Returns:
        ``clips``: rows ``id``, ``offset_frames`` (positive: the sound is late), ``confidence``, ``distance``,
        ``probability`` (as ``kouxing score`` tells it); None where it abstained.

    Raises:
        MediaError: a clip cannot be read.
        WeightError: the discriminator's weights are missing.
    """
    rows = []
    network = _network()
    for name in task.names:
        path = task.places.clip(name)
        track = read_track(task.places.root, Clip(name, "train", "-", "-", 0.0, "-", "-"))
        matrices = crop_matrices(track.anchors, track.found, track.cut, FRAME_HZ)
        crops = (
            crop_face(to_rgb(frame), matrix).image for frame, matrix in zip(read_video(path), matrices, strict=False)
        )
        pictures = mouth_pictures(crops)
        samples = load_sound(path, SAMPLE_HZ).samples
        mel = frame_mels(log_mel(samples), len(pictures))
        spoken = np.zeros(len(pictures), bool)
        silent = silent_frames(samples, SAMPLE_HZ)[: len(pictures)]
        spoken[: len(silent)] = ~silent
        sims = similarities(network.embed_mouths(pictures), network.embed_speech(mel))
        found = Ruler(network.calibration).measure(sims, spoken)
        rows.append(
            {
                "id": name,
                "offset_frames": _number(found.frames),
                "confidence": _number(found.confidence),
                "distance": _number(found.distance),
                "probability": _number(found.probability),
            }
        )
    return {"clips": rows}


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 3)


@lru_cache(maxsize=1)
def _network() -> Discriminator:
    return Discriminator(threads=1)
