"""Draws the README's sheet of avatars: ``python recipes/avatar_sheet.py docs/images/avatars.png`` (needs Panda3D).

The bundled head above, an avatar of scikit-image's astronaut below, with the starting shapes of some sounds.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.infer import morphs
from kouxing.infer.avatar import avatar
from kouxing.infer.demo import portrait
from kouxing.infer.render import Renderer

HEAD = Path(__file__).parents[1] / "src/kouxing/assets/head.glb"
SIDE_PX = 240
SHAPES: dict[str, dict[str, float]] = {
    "rest": {},
    "aa": {"jawOpen": 0.6},
    "ee": {"mouthStretch": 0.4, "mouthDimple": 0.4, "jawOpen": 0.2},
    "oo": {"mouthFunnel": 0.5, "mouthPucker": 0.8},
    "ff": {"mouthRollLower": 0.8, "mouthUpperUp": 0.2, "jawOpen": 0.1},
    "mm": {"jawOpen": 0.2, "mouthClose": 0.2, "mouthRollLower": 0.5, "mouthRollUpper": 0.5},
    "smile, blink": {"mouthSmile": 0.8, "cheekSquint": 0.5, "eyeBlink": 1.0},
}


def weights(shape: dict[str, float]) -> np.ndarray:
    """``[52]``; a name without its side stands for both."""
    made = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in shape.items():
        for one in [name] if name in PLACE else [name + "Left", name + "Right"]:
            made[PLACE[one]] = value
    return made


def main(out: Path) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photo, me = Path(folder) / "photo.png", Path(folder) / "me.glb"
        cv2.imwrite(str(photo), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
        avatar(photo, me)
        for path in (HEAD, me):
            with Renderer(morphs.load(path), SIDE_PX) as renderer:
                rows.append(np.hstack([renderer.picture(weights(shape)) for shape in SHAPES.values()]))
    out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    print(out, "left to right:", ", ".join(SHAPES))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
