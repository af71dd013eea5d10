"""How long files are by their packets."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from fake_media import make_sound, make_video
from kouxing.errors import MediaError
from kouxing.media.length import lasts_longer
from kouxing.media.reader import probe


def live_webm(path: Path, seconds: int) -> None:
    """As browsers record: no duration is told."""
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as out:
        stream = out.add_stream("libopus", rate=48_000)
        for number in range(seconds * 50):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), "flt", "mono")
            frame.sample_rate, frame.pts = 48_000, number * 960
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def test_a_file_that_tells_no_duration_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "live.webm"
    live_webm(path, 6)
    assert probe(path).sound_seconds is None
    assert lasts_longer(path, 5.5) and not lasts_longer(path, 6.5)


def test_ordinary_files(tmp_path: Path) -> None:
    sound, video, text = tmp_path / "a.wav", tmp_path / "a.mp4", tmp_path / "a.txt"
    make_sound(sound, 2.0)
    make_video(video, frames=50, size=(64, 64), rate=25)
    text.write_text("no medium")
    for path in (sound, video):
        assert lasts_longer(path, 1.8) and not lasts_longer(path, 2.1)
    with pytest.raises(MediaError):
        lasts_longer(text, 1.0)
