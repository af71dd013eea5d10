"""One or two passes over a video: every face's mouth against the sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np

from kouxing.infer.pipeline import ahead
from kouxing.infer.scan import Tracker, queue_depth
from kouxing.infer.score_listen import Judge, listening
from kouxing.infer.score_watch import Watched, Watcher, steadied, watch
from kouxing.media.reader import MediaInfo, read_video
from kouxing.types import Bool
from kouxing.units import FRAME_HZ

Progress = Callable[[str, int, "int | None"], None]
"""Called with (stage, done, total); total is None where it is not known."""

MOST_FACES = 4


@dataclass(frozen=True)
class Parts:
    """What a score is made with.

    Attributes:
        tracker: face index -> a tracker at its beginning. judge: the discriminator.
    """

    tracker: Callable[[int], Tracker]
    judge: Judge


@dataclass(frozen=True)
class Looked:
    """What the passes found.

    Attributes:
        faces: index -> what was seen of it. spoken: ``[T] bool``, frames in which the sound is not silent.
        late: frames by which the pictures looked at came after their own times.
        people: how many people were told apart.
    """

    faces: dict[int, Watched]
    spoken: Bool
    late: float
    people: int


def look(info: MediaInfo, face: int | None, parts: Parts, progress: Progress | None) -> Looked:
    """Look at one face (``face``), or at the largest and then at the others that were about.

    Raises:
        MediaError, NoVideoError, NoSoundError: the file cannot be read, or lacks one.
    """
    faces, levels_silent, late = _pass(info, [face or 0], parts, "look", progress)
    first = faces[face or 0]
    if face is None and first.people > 1:
        others = list(range(1, min(first.people, MOST_FACES)))
        faces |= _pass(info, others, parts, "look again", progress)[0]
    frames = len(first.sim)
    return Looked(faces, _spoken(levels_silent, frames), late, first.people)


def _pass(
    info: MediaInfo, faces: Sequence[int], parts: Parts, stage: str, progress: Progress | None
) -> tuple[dict[int, Watched], Bool, float]:
    """Watch some faces at once; also which frames of the sound are silent, and the pictures' lateness in frames."""
    total = round(info.seconds * FRAME_HZ) if info.seconds else None

    def told(done: int) -> None:
        if progress is not None:
            progress(stage, done, None if total is None else max(total, done))

    with ExitStack() as stack:
        heard = stack.enter_context(listening(info.path, parts.judge))
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
        return seen, heard.silent, late_s * FRAME_HZ


def _spoken(silent: Bool, frames: int) -> Bool:
    """``[frames]``, False beyond the sound's end."""
    result = np.zeros(frames, bool)
    kept = min(len(silent), frames)
    result[:kept] = ~silent[:kept]
    return result
