"""The bundled demo, with the shipped weights."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing import weights
from kouxing.infer.demo import PORTRAIT_PX, demo, portrait
from kouxing.infer.parts import weight_names
from kouxing.media.metadata import read_mark
from kouxing.media.reader import probe, read_video


def test_the_portrait_is_there_offline():
    image = portrait()
    assert image.shape == (PORTRAIT_PX, PORTRAIT_PX, 3) and image.dtype == np.uint8


@pytest.mark.skipif(not {*weight_names("fast")} <= {*weights.names()}, reason="no weights are shipped yet")
def test_the_demo_talks(tmp_path):
    out = tmp_path / "demo.mp4"
    out.write_bytes(b"an older one, which the demo replaces")
    report = demo(out)
    info = probe(out)
    assert (info.width, info.height, info.has_sound) == (PORTRAIT_PX, PORTRAIT_PX, True)
    assert report.dubbed_frames == report.frames > 100 and read_mark(out)
    mouth = np.stack([frame.planes[0][330:400, 270:400] for frame in read_video(out)]).astype(np.float32)
    above = np.stack([frame.planes[0][200:280, 200:470] for frame in read_video(out)]).astype(np.float32)
    assert mouth.std(0).mean() > 4 * above.std(0).mean()
