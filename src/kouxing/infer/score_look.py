"""One or two passes over a video: every face's mouth against the sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import numpy as np

from kouxing.audio.encoder import SpeechEncoder
from kouxing.face.track import FaceTracker
from kouxing.infer.discriminator import Discriminator
from kouxing.infer.pipeline import ahead
from kouxing.infer.scan import Tracker, queue_depth
from kouxing.infer.score_listen import Judge, listening
from kouxing.infer.score_opinion import Ear, Shapes
from kouxing.infer.score_watch import Watched, Watcher, steadied, watch
from kouxing.media.reader import MediaInfo, read_video
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

Progress = Callable[[str, int, "int | None"], None]
"""Called with (stage, done, total); total is None where it is not known."""

MOST_FACES = 4


@dataclass(frozen=True)
class Parts:
    """What a score is made with.

    Attributes:
        tracker: face index -> a tracker at its beginning. judge: the discriminator.
        ear: for a second opinion (``score_opinion``), which makes more offsets sure.
    """

    tracker: Callable[[int], Tracker]
    judge: Judge
    ear: Ear | None = None


def shipped() -> Parts:
    """The networks that ship; loading them takes longer than a short clip.

    Raises:
        WeightError: weights are missing or damaged.
    """
    # Decoding, tracking and the networks run side by side: threads of a network would only wait in each other's way.
    return Parts(FaceTracker, Discriminator(threads=1), SpeechEncoder(threads=1))


@dataclass(frozen=True)
class Looked:
    """What the passes found.

    Attributes:
        faces: index -> what was seen of it. spoken: ``[T] bool``, frames in which the sound is not silent.
        late: frames by which the pictures looked at came after their own times.
        people: how many people were told apart.
        heard: ``[T, 2]``, the mouth as it is heard; None without an ear.
    """

    faces: dict[int, Watched]
    spoken: Bool
    late: float
    people: int
    heard: Float | None = None

    def shapes(self, face: int) -> Shapes | None:
        """A face's mouth as it is seen and heard."""
        return None if self.heard is None else Shapes(self.faces[face].shapes, self.heard)


def look(info: MediaInfo, face: int | None, parts: Parts, progress: Progress | None) -> Looked:
    """Look at one face (``face``), or at the largest and then at the others that were about.

    Raises:
        MediaError, NoVideoError, NoSoundError: the file cannot be read, or lacks one.
    """
    faces, levels_silent, late, heard = _pass(info, [face or 0], parts, "look", progress)
    first = faces[face or 0]
    if face is None and first.people > 1:
        others = list(range(1, min(first.people, MOST_FACES)))
        # The sound is known already.
        faces |= _pass(info, others, replace(parts, ear=None), "look again", progress)[0]
    frames = len(first.sim)
    return Looked(faces, _spoken(levels_silent, frames), late, first.people, heard)


def _pass(
    info: MediaInfo, faces: Sequence[int], parts: Parts, stage: str, progress: Progress | None
) -> tuple[dict[int, Watched], Bool, float, Float | None]:
    """Watch some faces at once; also which frames of the sound are silent, the pictures' lateness in frames, and the
    mouth as it is heard."""
    total = round(info.seconds * FRAME_HZ) if info.seconds else None

    def told(done: int) -> None:
        if progress is not None:
            progress(stage, done, None if total is None else max(total, done))

    with ExitStack() as stack:
        heard = stack.enter_context(listening(info.path, parts.judge, parts.ear))
        pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="kouxing-mouths"))
        watchers = []
        for number in faces:
            watchers.append(Watcher(parts.tracker(number), parts.judge, heard, pool))
            stack.callback(watchers[-1].close)
        depth = queue_depth(info.width * info.height * 3)
        frames = stack.enter_context(closing(ahead(read_video(info.path), depth)))
        late_s = watch(steadied(frames), watchers, told)
        seen = {number: watcher.finish() for number, watcher in zip(faces, watchers, strict=True)}
        heard.finish()
        return seen, heard.silent, late_s * FRAME_HZ, heard.shapes


def _spoken(silent: Bool, frames: int) -> Bool:
    """``[frames]``, False beyond the sound's end."""
    result = np.zeros(frames, bool)
    kept = min(len(silent), frames)
    result[:kept] = ~silent[:kept]
    return result
