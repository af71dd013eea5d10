"""The astronaut speaks live, with the tracker, the networks and the paste-back that ship."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from face.people import anna
from fake_media import make_video
from kouxing.media.colour import to_rgb
from kouxing.media.reader import load_sound
from kouxing.server.footage import FILMED, Pictures, frame_of, prepare
from kouxing.server.idle_loop import place
from kouxing.server.speakers import FootagePlan, FootageSpeaker
from kouxing.units import SAMPLES_PER_FRAME

VOICE = Path(__file__).parents[2] / "src/kouxing/assets/demo-voice.flac"
SIDE = 288


def sway(number: int) -> np.ndarray:
    """Head and shoulders, moving a little."""
    scale = SIDE / 270
    matrix = np.array([[scale, 0, 3 * np.sin(number / 4)], [0, scale, 2 * np.cos(number / 5)]])
    return np.asarray(cv2.warpAffine(anna(), matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("astronaut")
    make_video(home / "talk.mp4", frames=14, size=(SIDE, SIDE), picture=sway)
    prepare(home / "talk.mp4", home / "ready")
    return home / "ready"


def test_she_is_still_in_silence_speaks_with_the_voice_and_nothing_else_changes(folder: Path) -> None:
    speaker = FootagePlan(folder).make()
    assert isinstance(speaker, FootageSpeaker) and speaker.ahead == 8
    count = speaker._footage.pictures
    voice = load_sound(VOICE).samples[28 * SAMPLES_PER_FRAME : 52 * SAMPLES_PER_FRAME]
    blocks = [np.zeros(SAMPLES_PER_FRAME, np.float32)] * 12
    blocks += list(np.asarray(voice, np.float32).reshape(-1, SAMPLES_PER_FRAME))
    blocks += [np.zeros(SAMPLES_PER_FRAME, np.float32)] * 30
    made = []
    for number, block in enumerate(blocks):
        speaker.hear(block)
        if number >= speaker.ahead:
            made.append(to_rgb(frame_of(speaker.picture(number - speaker.ahead), SIDE, SIDE)).astype(int))
    rest = [to_rgb(speaker._closed[place(number, count)]).astype(int) for number in range(len(made))]
    moved = np.array([np.abs(a - b).max() for a, b in zip(made, rest, strict=True)])
    # Silence is the closed mouth, before and after; in speech the mouth is another one.
    assert not moved[:5].any() and not moved[-5:].any()
    assert (moved[16:34] > 25).mean() > 0.8
    filmed = Pictures(folder / FILMED, SIDE, SIDE, speaker._footage.first)
    for number in (2, 25):
        film = to_rgb(filmed[place(number, count)]).astype(int)
        changed = np.argwhere(np.abs(made[number] - film).max(2) > 0)
        lips = speaker._footage.rows["lips"][place(number, count)]
        middle, width = lips.mean(0), np.ptp(lips[:, 0])
        assert np.abs(changed[:, ::-1] - middle).max() < 2.5 * width
    speaker.close()
