"""One sentence driven by each subset of text, sound and mouth pictures, side by side, on the bundled head.

    python recipes/multimodal_picture.py CLIP.mp4 "bin blue at f two now" docs/images/multimodal.png

CLIP shows and says the sentence; rows with noise hear it under pink noise as loud as the speech.
"""

from __future__ import annotations

import sys
from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np

from kouxing.eval.multimodal_sound import over
from kouxing.eval.sync_corrupt import noise
from kouxing.infer import morphs
from kouxing.infer.multimodal import Multimodal
from kouxing.infer.multimodal_animate import Modalities, join
from kouxing.infer.render import Renderer
from kouxing.media.reader import load_sound
from kouxing.types import Bytes, Float
from kouxing.units import SAMPLE_HZ

MOMENTS, SIDE_PX, LABEL_PX = 9, 150, 150
DRAWN_PX, LEFT_PX, TOP_PX = 400, 125, 165
"""Of a larger picture only the mouth and what is about it."""


def label(text: str) -> Bytes:
    tile = np.full((SIDE_PX, LABEL_PX, 3), 255, np.uint8)
    for line, words in enumerate(text.split("\n")):
        cv2.putText(tile, words, (6, 50 + 22 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (20, 20, 20), 1, cv2.LINE_AA)
    return tile


def mouth(picture: Bytes) -> Bytes:
    return picture[TOP_PX : TOP_PX + SIDE_PX, LEFT_PX : LEFT_PX + SIDE_PX]


def main(clip: Path, text: str, out: Path) -> None:
    samples: Float = load_sound(clip, SAMPLE_HZ).samples
    noisy = over(samples, noise, 0.0, np.random.default_rng(0))
    rows = {
        "mouth video": (None, Modalities(mouth_video=clip)),
        "sound": (samples, Modalities()),
        "text + sound": (samples, Modalities(text)),
        "sound, 0 dB": (noisy, Modalities()),
        "text +\nsound, 0 dB": (noisy, Modalities(text)),
        "text +\nsound, 0 dB +\nmouth video": (noisy, Modalities(text, mouth_video=clip)),
    }
    model = Multimodal(threads=1)
    made = {name: join(given, more, model).made.coefficients for name, (given, more) in rows.items()}
    frames = min(len(values) for values in made.values())
    moments = np.linspace(0.28 * frames, 0.72 * frames, MOMENTS).astype(int)
    with as_file(files("kouxing") / "assets" / "head.glb") as head, Renderer(morphs.load(head), DRAWN_PX) as renderer:
        tiles = [
            np.hstack([label(name), *(mouth(renderer.picture(values[at])) for at in moments)])
            for name, values in made.items()
        ]
    out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out), cv2.cvtColor(np.vstack(tiles), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
