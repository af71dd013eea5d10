"""Dubbing a test clip in memory, for the judge: the painting of ``infer.dub`` without the encoder behind it.

What paints is a parameter: our network, or a baseline that stands in its place and runs through the same crop, paste
and tracking, so that all columns of the table differ in the painting alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from kouxing.data.manifest import Clip
from kouxing.errors import NO_ARRAYS, DataError
from kouxing.face.geometry import opening
from kouxing.infer.paint import Cast, LipsModel, Painter, cast, crop_of
from kouxing.infer.parts import Parts
from kouxing.infer.references import References, choose, gather, sharpness
from kouxing.infer.speech import hear
from kouxing.infer.timeline import Timeline
from kouxing.media.aside import keeping, write_arrays
from kouxing.media.reader import load_sound, read_video
from kouxing.types import Bytes, FaceTrack, Float, VideoFrame
from kouxing.units import CROP_PX, FRAME_HZ, HALF_PX, SAMPLE_HZ

RATE_TOLERANCE = 0.02


class CopyReference:
    """Ignores the sound: always pastes the mouth of the most closed reference frame."""

    def __init__(self) -> None:
        self._mouth: Bytes | None = None

    def set_references(self, references: References) -> None:
        """Keep the reference whose lips are closest together."""
        self._mouth = references.crops[int(np.argmin(opening(references.geometry)))]

    def paint(self, crop: Bytes, anchors: Float, features: Float, mouth: float) -> Bytes:
        """The crop with the reference's lower half."""
        if self._mouth is None:
            raise ValueError("set_references comes first")
        made = crop.copy()
        made[HALF_PX:] = self._mouth[HALF_PX:]
        return made


class GroundTruth:
    """Leaves the crop as it is: what crop, paste and tracker alone cost, the ceiling for every network."""

    def set_references(self, references: References) -> None:
        """Needs none."""

    def paint(self, crop: Bytes, anchors: Float, features: Float, mouth: float) -> Bytes:
        """The crop itself."""
        return crop


@dataclass(frozen=True)
class Scene:
    """A real clip in memory with what the judge knows of it.

    Attributes:
        clip: its manifest row.
        frames: T pictures.
        track: the judge's own tracking of them, T rows.
        samples: its speech, ``[N] float32`` at ``SAMPLE_HZ``.
        cast: the same track made ready for painting.
    """

    clip: Clip
    frames: tuple[VideoFrame, ...]
    track: FaceTrack
    samples: Float
    cast: Cast

    def __len__(self) -> int:
        return len(self.frames)

    def crop(self, frame: VideoFrame, at: int) -> Bytes:
        """``[256, 256, 3]`` crop of ``frame`` where this clip's frame ``at`` has its face."""
        return crop_of(frame, self.cast.matrices[at])

    def present(self, at: int) -> bool:
        """Whether frame ``at`` shows a face, so that it is painted."""
        return bool(self.cast.present[at])

    @cached_property
    def references(self) -> References:
        """What dubbing chooses."""
        matrices, present = self.cast.matrices, self.cast.present
        sharp = np.zeros((len(self), 2), np.float32)
        for at in np.flatnonzero(present):
            sharp[at] = sharpness(self.frames[at].planes[0], matrices[at])
        chosen = choose(self.track, present, sharp)
        crops = np.stack([self.crop(self.frames[at], at) for at in chosen])
        return gather(self.track, matrices, chosen, crops)


class Studio:
    """What turns a face and speech into new frames, and looks at frames: the parts of ``infer.dub``, without files.

    Args:
        parts: tracker, speech encoder, network and paste.
        preset: which network.
    """

    def __init__(self, parts: Parts, preset: str) -> None:
        self._parts = parts
        self.model = parts.lips(preset)

    def follow(self, frames: Iterable[VideoFrame]) -> FaceTrack:
        """Track pictures with a fresh tracker, which knows nothing of any other run."""
        with closing(self._parts.tracker(0)) as tracker:
            for frame in frames:
                tracker.push(frame)
            return tracker.track()

    def hear(self, samples: Float) -> Float:
        """Speech ``[N]`` at ``SAMPLE_HZ`` -> mouth geometry ``[L, 16]`` at ``FRAME_HZ``, silence at rest."""
        return hear([samples], self._parts.speech()).features

    def redub(
        self, scene: Scene, features: Float, model: LipsModel | None = None, mouth: float = 1.0, most: int | None = None
    ) -> list[VideoFrame]:
        """Make the face say other speech.

        Args:
            scene: the face.
            features: ``[L, 16]`` of the speech; the shorter of picture and speech is made.
            model: fills in the lower face; the preset's network by default.
            mouth: how wide the mouth opens, 1 = as spoken.
            most: no more than so many frames.

        Returns:
            min(T, L, most) frames; those without a face pass through untouched.
        """
        model = model or self.model
        model.set_references(scene.references)
        frames = scene.frames[: len(features)][:most]
        pts = np.array([frame.pts for frame in frames], np.int64)
        seconds = Fraction(len(frames), FRAME_HZ)
        timeline = Timeline(np.arange(len(frames)), pts, scene.frames[0].time_base, seconds)
        # The ground truth shows the real lower half.
        painter = Painter(model, self._parts.paste, scene.cast, timeline, features, mouth, CROP_PX)
        return [painter((at, frame)) for at, frame in enumerate(frames)]

    def load(self, data: Path, clip: Clip, stored: Path | None = None) -> Scene:
        """Read and track one clip.

        Args:
            data: data folder (``data.manifest``).
            clip: which one; at ``FRAME_HZ``.
            stored: where the track of it is kept between runs; made when missing.

        Raises:
            MediaError: the clip cannot be read.
            DataError: no face in it, or another frame rate.
        """
        path = data / "clips" / f"{clip.id}.mp4"
        frames = tuple(read_video(path))
        late = float(frames[-1].time) * FRAME_HZ - (len(frames) - 1)
        if abs(late) > RATE_TOLERANCE * len(frames):
            raise DataError(f"{path}: not {FRAME_HZ} frames a second, and the judge goes by frames; prepare it anew")
        crc = zlib.crc32(path.read_bytes())
        track = (_stored_track(stored, crc) if stored else None) or self.follow(frames)
        if stored:
            _store_track(stored, track, crc)
        if not track.found.any():
            raise DataError(f"{path}: no face found in any frame; leave the clip out of the manifest")
        return Scene(clip, frames, track, load_sound(path, SAMPLE_HZ).samples, cast(track, FRAME_HZ))


_TRACK = ("lips", "anchors", "jaw", "found", "cut")


def _stored_track(path: Path, crc: int) -> FaceTrack | None:
    """The track kept at ``path``, or None where there is none of the clip whose file has this checksum."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return FaceTrack(**{name: file[name] for name in _TRACK}) if int(file["crc"]) == crc else None
    except NO_ARRAYS:
        return None


def _store_track(path: Path, track: FaceTrack, crc: int) -> None:
    with keeping(path) as part:
        write_arrays(part, {"crc": np.array(crc), **{name: getattr(track, name) for name in _TRACK}})
