"""What a rendered stream shows: footage or an avatar that does what is heard, picture by picture at 25 a second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from kouxing.arkit import COEFFICIENTS
from kouxing.audio.encoder import SpeechEncoder
from kouxing.errors import OptionError
from kouxing.face.paste import paste
from kouxing.infer import morphs
from kouxing.infer import person as persons
from kouxing.infer.animate import load as load_voice
from kouxing.infer.animate import voice
from kouxing.infer.blinks import Blinks
from kouxing.infer.lips import LipsNetwork
from kouxing.infer.paint import LipsModel, Paste
from kouxing.infer.render import Renderer
from kouxing.server import idle_loop
from kouxing.server.footage import (
    CLOSED,
    FILMED,
    IDLE,
    TOPS,
    Footage,
    KeptColour,
    Pictures,
    bytes_of,
    frame_of,
    load,
    top_of,
)
from kouxing.server.live_features import LiveFeatures
from kouxing.types import Float, VideoFrame
from kouxing.units import CROP_PX, FRAME_HZ, HALF_PX

FADE = 4
"""Pictures (160 ms) between the filmed mouth and the painted one."""
REST_ROWS = 3
"""Rows (120 ms) in which an interrupted avatar comes to rest."""

KEPT = 10
"""Rows that an interruption may go back by."""


class Speaker(Protocol):
    """Hears blocks of sound and makes pictures.

    Attributes:
        ahead: blocks after picture n's own that must be heard before ``picture(n)``.
        width, height: of the pictures, even.
    """

    ahead: int
    width: int
    height: int

    def begin(self, number: int) -> None:
        """What is counted from 0 here is picture ``number`` of the stream: another process showed those before."""
        ...

    def hear(self, block: Float) -> None:
        """The next ``[640]`` samples at ``SAMPLE_HZ``."""
        ...

    def cut(self, number: int) -> None:
        """An interruption: from block ``number`` on there was silence."""
        ...

    def picture(self, number: int) -> bytes:
        """The planes of picture ``number`` in yuv420p; numbers rise, and some may be left out."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


@dataclass(frozen=True)
class FootagePlan:
    """Footage that was made ready in ``folder``; ``idle``, ``mouth`` as for ``FootageSpeaker``, ``person`` as it was
    made ready with."""

    folder: Path
    idle: str = "closed"
    mouth: float = 1.0
    person: Path | None = None
    threads: int = 1

    def make(self) -> Speaker:
        """Load it. Raises: MediaError, WeightError, OptionError."""
        footage = load(self.folder)
        fitted = None if self.person is None else persons.load(self.person)
        model = LipsNetwork(footage.preset, threads=self.threads, person=fitted)
        return FootageSpeaker(footage, model, SpeechEncoder(threads=1), self.idle, self.mouth)


@dataclass(frozen=True)
class AvatarPlan:
    """A GLB with ARKit's morph targets; ``method`` is ``mouth`` or ``expression``."""

    path: Path
    method: str = "mouth"
    side_px: int = 512
    mouth: float = 1.0

    def make(self) -> Speaker:
        """Load it. Raises: MediaError, DataError, WeightError, OptionError."""
        return AvatarSpeaker(self.path, self.method, self.side_px, self.mouth)


class FootageSpeaker:
    """Footage that speaks what it hears.

    Args:
        footage: from ``footage.prepare``.
        model: the network; its references are set here.
        encoder: the speech encoder.
        idle: ``closed`` or ``filmed``: the mouth while nobody speaks.
        mouth: opening coefficient, 0..3.

    Raises:
        OptionError: a value is out of range.
    """

    def __init__(
        self,
        footage: Footage,
        model: LipsModel,
        encoder: SpeechEncoder,
        idle: str = "closed",
        mouth: float = 1.0,
        lay: Paste = paste,
    ) -> None:
        if idle not in IDLE:
            raise OptionError(f"idle {idle}: choose one of {', '.join(IDLE)}")
        if not 0 <= mouth <= 3:
            raise OptionError(f"mouth {mouth}: give a number from 0 to 3")
        self._footage, self._model, self._paste = footage, model, lay
        self._mouth, self._filmed = mouth, idle == "filmed"
        model.set_references(footage.people)
        self._heard = LiveFeatures(encoder)
        self.ahead, self.width, self.height = self._heard.ahead, footage.width, footage.height
        size = (footage.width, footage.height)
        first = footage.first
        self._open = Pictures(footage.folder / FILMED, *size, first)
        self._closed = Pictures(footage.folder / CLOSED, *size)
        self._tops = (footage.folder / TOPS).open("rb", buffering=0)
        self._share, self._last, self._base = 0.0, -1, 0

    def begin(self, number: int) -> None:
        self._base = number

    def hear(self, block: Float) -> None:
        self._heard.hear(block)

    def cut(self, number: int) -> None:
        self._heard.cut(number)

    def picture(self, number: int) -> bytes:
        window = self._heard.window(number)
        place = idle_loop.place(number + self._base, self._footage.pictures)
        speaks = bool(window.any())
        if not self._filmed:
            return bytes_of(self._painted(place, window)) if speaks else self._closed.raw(place)
        self._share = self._faded(number, speaks)
        if not self._share:
            return self._open.raw(place)
        made = self._painted(place, window) if speaks else self._closed[place]
        return bytes_of(made if self._share == 1 else mixed(self._open[place], made, self._share))

    def close(self) -> None:
        self._open.close()
        self._closed.close()
        self._tops.close()

    def _faded(self, number: int, speaks: bool) -> float:
        """Share of the painted mouth, which comes and goes over ``FADE`` pictures."""
        steps = max(number - self._last, 1)
        self._last = number
        way = steps / FADE if speaks else -steps / FADE
        return float(np.clip(self._share + way, 0, 1))

    def _painted(self, place: int, window: Float) -> VideoFrame:
        rows = self._footage.rows
        size = HALF_PX * CROP_PX * 3
        self._tops.seek(place * size)
        image = self._model.paint(top_of(self._tops.read(size)), rows["anchors"][place], window, self._mouth)
        kept = KeptColour(rows["seam"][place])
        frame = self._open[place]
        return self._paste(frame, image, rows["matrices"][place], rows["jaw"][place], rows["lips"][place], kept)


def mixed(before: VideoFrame, after: VideoFrame, share: float) -> VideoFrame:
    """Between two pictures, ``share`` 0..1 of the second."""
    one, two, three = (
        np.asarray(cv2.addWeighted(np.asarray(a, np.uint8), 1 - share, np.asarray(b, np.uint8), share, 0))
        for a, b in zip(before.planes, after.planes, strict=True)
    )
    return replace(before, planes=(one, two, three))


class AvatarSpeaker:
    """A GLB avatar that speaks what it hears, drawn on the processor.

    Args:
        path: a GLB with ARKit's morph targets.
        method: ``mouth`` (the shortest delay) or ``expression``.
        side_px: width and height.
        mouth: factor of jaw and lips that open, 0..3.

    Raises:
        OptionError: a value is out of range, or Panda3D is missing.
        MediaError, DataError: the avatar cannot be used. WeightError: weights are missing or damaged.
    """

    def __init__(self, path: Path, method: str = "mouth", side_px: int = 512, mouth: float = 1.0) -> None:
        if not 0 <= mouth <= 3:
            raise OptionError(f"mouth {mouth}: give a number from 0 to 3")
        self._model = load_voice(method, live=True)
        if self._model.rate_hz != FRAME_HZ:
            raise OptionError(f"method {method}: gives {self._model.rate_hz} rows a second, not {FRAME_HZ}")
        self._renderer = Renderer(morphs.load(path), side_px)
        self.width = self.height = side_px
        self.ahead = max(ceil(self._model.look_ahead_ms * FRAME_HZ / 1000) - 1, 0)
        self._mouth = mouth
        self._rows: dict[int, Float] = {}
        self._heard = self._next = 0
        # ``expression`` blinks by itself.
        self._blinks = Blinks(self._model.rate_hz) if method == "mouth" else None
        self._voice = voice(self._model)

    def begin(self, number: int) -> None:
        """Nothing here depends on it."""

    def hear(self, block: Float) -> None:
        self._heard += 1
        rows = self._voice.rows.push(block)
        for row in rows if self._blinks is None else self._blinks.add(rows):
            self._rows[self._next] = row
            self._next += 1

    def cut(self, number: int) -> None:
        last = self._rows.get(number, np.zeros(len(COEFFICIENTS), np.float32))
        for place in range(number, self._heard):
            left = max(0.0, 1 - (place - number + 1) / REST_ROWS)
            self._rows[place] = np.asarray(last * left, np.float32)
        # A stream at its beginning: what it heard last must not move the mouth any more.
        self._voice, self._next = voice(self._model), self._heard

    def picture(self, number: int) -> bytes:
        for old in [place for place in self._rows if place < number - KEPT]:
            del self._rows[old]
        row = self._rows.get(number, np.zeros(len(COEFFICIENTS), np.float32))
        if self._mouth != 1:
            row = np.clip(row * np.where(OPENS, self._mouth, 1), 0, 1).astype(np.float32)
        # OpenCV's I420 is what ``COLOUR`` says, and ten times as fast as ``media.colour``, which knows all colours.
        return cv2.cvtColor(self._renderer.picture(row), cv2.COLOR_RGB2YUV_I420).tobytes()

    def close(self) -> None:
        self._renderer.close()


OPENING = ("jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthFunnel")
OPENS = np.array([name.startswith(OPENING) for name in COEFFICIENTS])
"""Coefficients that the opening coefficient scales."""

__all__ = ["AvatarPlan", "AvatarSpeaker", "FootagePlan", "FootageSpeaker", "Speaker", "frame_of", "mixed"]
