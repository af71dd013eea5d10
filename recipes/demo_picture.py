"""Makes the README's picture out of the demo's video.

``python recipes/demo_picture.py kouxing-demo.mp4 docs/images/demo.png``
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from kouxing.face.track import mesh
from kouxing.media.colour import to_rgb
from kouxing.media.reader import read_video

PICTURES = 6
SIDE_PX = 240
OFFSET = 9
"""Frame of the first picture: inside the first word."""


def main(video: Path, out: Path) -> None:
    frames = [to_rgb(frame) for frame in read_video(video)]
    face = mesh(frames[0])[0]
    low, high = face.min(0), face.max(0)
    x, y = ((low + high) / 2).astype(int)
    reach = int((high - low).max() * 0.62)
    moments = np.linspace(OFFSET, len(frames) - 1, PICTURES + 1).astype(int)[:-1]
    tiles = [frames[i][max(0, y - reach) : y + reach, max(0, x - reach) : x + reach] for i in moments]
    row = np.hstack([cv2.resize(tile, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for tile in tiles])
    out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out), cv2.cvtColor(row, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
