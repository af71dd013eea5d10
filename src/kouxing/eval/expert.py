"""The sync discriminator that ships with ``kouxing score``, as a second judge of dubbed clips: LSE-C and LSE-D.

It was trained here, so it never stands alone: the landmark judge (``eval.metrics``) is beside it, and where a network
learned from a sibling of it, its opinion of that network is kinder than a stranger's would be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kouxing.audio.features import frame_mels, log_mel
from kouxing.audio.silence import silent_frames
from kouxing.eval.in_step import late_by
from kouxing.eval.redub import Scene
from kouxing.face.mouth_picture import HEIGHT_PX, WIDTH_PX, mouth_picture
from kouxing.face.offset import find_offset, similarities
from kouxing.infer.score_listen import Judge
from kouxing.types import Bytes, Float, VideoFrame
from kouxing.units import SAMPLE_HZ

SCALE = 10.0
"""Its vectors have length 1, so that unrelated ones lie about 1.4 apart. Times 10 that is where the published
LSE-C and LSE-D have them (SyncNet: about 14), and differences mean what they mean there."""


class Expert:
    """Looks at mouths and listens to speech.

    Args:
        judge: the discriminator (``infer.discriminator.Discriminator``).
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def look(self, scene: Scene, frames: Sequence[VideoFrame]) -> Float:
        """``[T, D]`` a vector for each frame of this clip or of a dub of it; NaN about frames without a face."""
        pictures: Bytes = np.zeros((len(frames), HEIGHT_PX, WIDTH_PX), np.uint8)
        missing = np.array([not scene.present(at) for at in range(len(frames))], bool)
        for at in np.flatnonzero(~missing):
            pictures[at] = mouth_picture(scene.crop(frames[at], int(at)))
        mouths = self._judge.embed_mouths(pictures)
        mouths[np.convolve(missing, np.ones(self._judge.mouth_frames), "same") > 0.5] = np.nan
        return mouths

    def listen(self, samples: Float, frames: int) -> Float:
        """``[frames, D]`` of speech ``[N]`` at ``SAMPLE_HZ``."""
        return self._judge.embed_speech(frame_mels(log_mel(samples), frames))

    def late(self, scene: Scene, mouths: Float) -> int:
        """By how many frames the clip's sound is late (``eval.in_step``); ``mouths`` are its real ones."""
        sims = similarities(mouths, self.listen(scene.samples, len(mouths)))
        silent = np.ones(len(mouths), bool)
        told = silent_frames(scene.samples, SAMPLE_HZ)[: len(silent)]
        silent[: len(told)] = told
        return late_by(scene.clip, sims, silent, self._judge.calibration)

    def lse(self, name: str, mouths: Float, samples: Float) -> dict[str, float]:
        """LSE-C (higher is better) and LSE-D (lower is better) of mouths ``[T, D]`` with speech, times ``SCALE``.

        Returns:
            ``<name>_lsec``, ``<name>_lsed``; NaN where there is too little to compare.
        """
        found = find_offset(similarities(mouths, self.listen(samples, len(mouths))))
        return {f"{name}_lsec": SCALE * found.confidence, f"{name}_lsed": SCALE * found.distance}
