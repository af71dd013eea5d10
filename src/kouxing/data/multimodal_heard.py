"""What is heard of clips, as they are and spoiled, and where a text lies in each: what ``multimodal`` learns from."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kouxing.audio.clearness import NEARLY, clearness
from kouxing.audio.features import SILENT_MEL, frame_mels, log_mel
from kouxing.audio.file_ear import FileEar
from kouxing.data.multimodal_sound import worse
from kouxing.errors import NO_ARRAYS, OptionError
from kouxing.media.aside import keeping, write_arrays
from kouxing.text.align import PLACEMENTS, align, same
from kouxing.text.pronounce import Pronouncer
from kouxing.text.rows import WIDTH as TEXT
from kouxing.text.rows import text_rows
from kouxing.text.transcripts import Cue, Transcript
from kouxing.types import Bool, Float
from kouxing.units import MELS_PER_FRAME, SAMPLES_PER_FRAME

Report = Callable[[str], None]
RULES = 2
"""Raised when sounds are spoiled or heard otherwise."""


@dataclass(frozen=True)
class Version:
    """What is heard of one clip in one version of its sound.

    Attributes:
        heard: ``[T, 16] float16`` mouth geometry (``audio.file_ear``).
        trunk: ``[T, W] float16`` of the phone network.
        mel: ``[T, 80] float16``, mean of the frame's mels.
        clear: ``[T, 6] float16``, how well the sound can be heard (``audio.clearness``).
        text: ``[T, 19] float16``: the text as it is laid onto this very sound, in several placements as in use; NaN
            where the clip has none, or it is not heard in this sound.
        muted: ``[T] bool``: the sound was taken away.
    """

    heard: NDArray[np.float16]
    trunk: NDArray[np.float16]
    mel: NDArray[np.float16]
    clear: NDArray[np.float16]
    text: NDArray[np.float16]
    muted: Bool


PARTS = tuple(Version.__dataclass_fields__)


class Hearing:
    """Hears as ``infer.multimodal`` does.

    Args:
        ear: what dubs hear with.
        phones: the phone network: the front's rows ``[T, WIDTH]`` -> log probabilities ``[4T, classes]`` and trunk
            ``[T, W]``.
        digest: of the phone network.
    """

    def __init__(self, ear: FileEar, phones: Callable[[Float], tuple[Float, Float]], digest: str) -> None:
        self._ear, self._phones = ear, phones
        self.digest = f"{ear.digest} {digest}"

    def hear(self, samples: Float, muted: Bool, said: Transcript | None, pronouncer: Pronouncer) -> Version:
        """One sound of T whole video frames.

        Args:
            samples: ``[T * SAMPLES_PER_FRAME]``. muted: see ``Version``.
            said: its text, whose times do not count. pronouncer: of its language.
        """
        frames = len(muted)
        mel, rows = frame_mels(log_mel(samples), frames), self._ear.front.hear(samples)
        log_probs, trunk = self._phones(rows)
        text = np.full((frames, TEXT), np.nan, np.float32)
        if said is not None:
            lost = mel.max(1) < SILENT_MEL + NEARLY
            words = Transcript((Cue(said.text),), said.source)
            try:
                found = align(log_probs, words, pronouncer, lost, PLACEMENTS, mel.mean(1))
                text = text_rows(found.several, frames) if same(found) else text
            except OptionError:
                # Too long for the sound, which was checked before: another version may be shorter.
                pass
        means, half = mel.reshape(frames, MELS_PER_FRAME, -1).mean(1), np.float16
        return Version(
            self._ear.hear_rows(rows, mel).astype(half), trunk.astype(half), means.astype(half),
            clearness(mel, log_probs).astype(half), text.astype(half), muted,
        )  # fmt: skip


def versions_of(
    sounds: Sequence[Float], said: Sequence[Transcript | None], hearing: Hearing, count: int, seed: int,
    kept: Path | None = None, report: Report = print,
) -> list[list[Version]]:  # fmt: skip
    """Hear every sound as it is and in ``count - 1`` spoiled versions: ``[count][sounds]``.

    Args:
        sounds: each ``[T * SAMPLES_PER_FRAME]``.
        said: the English text of each, where it is known.
        hearing: the networks.
        count: versions.
        seed: source of chance.
        kept: file in which they are kept; made anew where it is of other sounds or texts, or was heard otherwise.
        report: where progress goes.
    """
    lengths = [len(sound) // SAMPLES_PER_FRAME for sound in sounds]
    heard = 0
    for sound, text in zip(sounds, said, strict=True):
        words = b"" if text is None else text.text.encode()
        heard = zlib.crc32(words, zlib.crc32(np.ascontiguousarray(sound).tobytes(), heard))
    key = f"{RULES} {count} {seed} {hearing.digest} {heard:08x} {lengths}"
    if kept is not None:
        with suppress(*NO_ARRAYS), np.load(kept, allow_pickle=False) as file:
            if str(file["key"]) == key:
                bounds = np.cumsum(lengths)[:-1]
                return [
                    [Version(*rows) for rows in zip(*(np.split(file[f"{name}{n}"], bounds) for name in PARTS))]  # noqa: B905
                    for n in range(count)
                ]
    rng, made = np.random.default_rng(seed), []
    with Pronouncer("en") as pronouncer:
        for number in range(count):
            report(f"hearing {len(sounds)} clips, version {number + 1} of {count}")
            versions = []
            for sound, frames, text in zip(sounds, lengths, said, strict=True):
                spoiled, gone = worse(sound, sounds, rng) if number else (sound, np.zeros(frames, bool))
                versions.append(hearing.hear(spoiled, gone, text, pronouncer))
            made.append(versions)
    if kept is not None:
        stored = {
            f"{name}{n}": np.concatenate([getattr(one, name) for one in versions])
            for n, versions in enumerate(made)
            for name in PARTS
        }
        with keeping(kept, shared=True) as part:
            write_arrays(part, {"key": np.array(key), **stored})
    return made
