"""The bundled demo: scikit-image's photo of an astronaut says a sentence that a speech synthesiser made."""

from __future__ import annotations

import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from kouxing.errors import WeightError
from kouxing.infer.dub import dub
from kouxing.infer.order import DubReport
from kouxing.infer.scan import Progress

VOICE = "demo-voice.flac"
"""Made by ``recipes/demo_voice.py``; lies in ``kouxing/assets``."""


def demo(out: Path = Path("kouxing-demo.mp4"), *, preset: str = "fast", progress: Progress | None = None) -> DubReport:
    """Dub the bundled photo (512×512, NASA, public domain) with the bundled voice.

    Args:
        out: the video to write; replaced if it is there.
        preset: ``fast`` or ``fine``.
        progress: called with (stage, done, total).

    Raises:
        WeightError: the package is incomplete.
        OutputError: ``out`` cannot be written.
    """
    import cv2
    from skimage.data import astronaut

    voice = files("kouxing") / "assets" / VOICE
    if not voice.is_file():
        raise WeightError(f"{voice} is missing: install kouxing again")
    with tempfile.TemporaryDirectory(prefix="kouxing-") as folder, as_file(voice) as sound:
        photo = Path(folder) / "astronaut.png"
        cv2.imwrite(str(photo), cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR))
        return dub(photo, sound, out, length="speech", preset=preset, overwrite=True, progress=progress)
