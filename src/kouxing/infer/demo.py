"""The bundled demo: scikit-image's photo of an astronaut says a sentence that a speech synthesiser made."""

from __future__ import annotations

import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np

from kouxing.errors import WeightError
from kouxing.infer.dub import dub
from kouxing.infer.order import DubReport
from kouxing.infer.scan import Progress
from kouxing.types import Bytes

VOICE = "demo-voice.flac"
"""Made by ``recipes/demo_voice.py``; lies in ``kouxing/assets``."""

PORTRAIT = (slice(0, 288), slice(90, 378))
"""Rows and columns of the 512x512 photo that hold head and shoulders."""

PORTRAIT_PX = 720


def portrait() -> Bytes:
    """Head and shoulders of the bundled photo (Eileen Collins, NASA, public domain): ``[720, 720, 3] uint8`` RGB."""
    from skimage.data import astronaut

    size = (PORTRAIT_PX, PORTRAIT_PX)
    return np.asarray(cv2.resize(astronaut()[PORTRAIT], size, interpolation=cv2.INTER_CUBIC), np.uint8)


def demo(out: Path = Path("kouxing-demo.mp4"), *, preset: str = "fine", progress: Progress | None = None) -> DubReport:
    """Dub the bundled photo with the bundled voice.

    Args:
        out: the video to write; replaced if it is there.
        preset: ``fast`` or ``fine``.
        progress: called with (stage, done, total).

    Raises:
        WeightError: the package is incomplete.
        OutputError: ``out`` cannot be written.
        OptionError: it ends in none of a video's endings, or there is no such preset.
    """
    voice = files("kouxing") / "assets" / VOICE
    if not voice.is_file():
        raise WeightError(f"{voice} is missing: install kouxing again")
    with tempfile.TemporaryDirectory(prefix="kouxing-") as folder, as_file(voice) as sound:
        photo = Path(folder) / "astronaut.png"
        cv2.imwrite(str(photo), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
        return dub(photo, sound, out, length="speech", preset=preset, overwrite=True, progress=progress)
