"""A drawn avatar that says what it hears."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from avatars import two_squares
from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import KouxingError
from kouxing.export.glb import write_glb
from kouxing.infer.mouth import Mouth
from kouxing.media.colour import to_rgb
from kouxing.media.reader import load_sound
from kouxing.server.footage import frame_of
from kouxing.server.speakers import REST_ROWS, AvatarPlan, AvatarSpeaker
from kouxing.units import FRAME_HZ, SAMPLES_PER_FRAME

VOICE = Path(__file__).parents[2] / "src/kouxing/assets/demo-voice.flac"
SIDE = 96
needs_panda = pytest.mark.skipif(
    find_spec("panda3d") is None, reason="Panda3D is missing: pip install 'kouxing[render]'"
)


@pytest.fixture()
def head(tmp_path: Path) -> Path:
    write_glb(tmp_path / "head.glb", two_squares())
    return tmp_path / "head.glb"


@pytest.fixture(scope="module")
def blocks() -> np.ndarray:
    samples = load_sound(VOICE).samples[: 100 * SAMPLES_PER_FRAME]
    return np.asarray(samples.reshape(-1, SAMPLES_PER_FRAME), np.float32)


@needs_panda
def test_it_shows_what_the_model_gives_for_the_same_sound(head: Path, blocks: np.ndarray) -> None:
    speaker = AvatarPlan(head, side_px=SIDE).make()
    assert isinstance(speaker, AvatarSpeaker) and (speaker.width, speaker.height) == (SIDE, SIDE)
    assert speaker.ahead == np.ceil(Mouth(threads=1).look_ahead_ms * FRAME_HZ / 1000) - 1
    stream = Mouth(threads=1).stream()
    rows = np.concatenate([stream.push(block) for block in blocks])
    pictures = []
    for number, block in enumerate(blocks):
        speaker.hear(block)
        place = number - speaker.ahead
        if place < 0:
            continue
        pictures.append(speaker.picture(place))
        shown = speaker._rows[place].copy()
        for eye in ("eyeBlinkLeft", "eyeBlinkRight"):
            shown[PLACE[eye]] = rows[place, PLACE[eye]]
        np.testing.assert_allclose(shown, rows[place], atol=1e-6)
    jaw = rows[: len(pictures), PLACE["jawOpen"]]
    red = [to_rgb(frame_of(raw, SIDE, SIDE)).astype(int) for raw in pictures]
    height = [np.nonzero(image[..., 0] > image[..., 1] + 60)[0].mean() for image in red]
    assert np.corrcoef(jaw, height)[0, 1] < -0.8
    assert len(speaker._rows) < 20
    speaker.close()


@needs_panda
def test_expression_waits_no_longer_and_rests_again(head: Path, blocks: np.ndarray) -> None:
    speaker = AvatarPlan(head, method="expression", side_px=SIDE).make()
    assert isinstance(speaker, AvatarSpeaker) and speaker.ahead == 2
    quiet = [np.zeros(SAMPLES_PER_FRAME, np.float32)] * 25
    jaws = []
    for number, block in enumerate([*blocks[20:70], *quiet]):
        speaker.hear(block)
        if number >= speaker.ahead:
            speaker.picture(number - speaker.ahead)
            jaws.append(speaker._rows[number - speaker.ahead][PLACE["jawOpen"]])
    assert max(jaws[:45]) > 0.1 and max(jaws[-8:]) < 0.03
    speaker.close()


@needs_panda
def test_an_interruption_brings_it_to_rest(head: Path, blocks: np.ndarray) -> None:
    speaker = AvatarSpeaker(head, side_px=SIDE, mouth=1.5)
    for block in blocks[:60]:
        speaker.hear(block)
    number = 60 - speaker.ahead
    speaker.picture(number - 1)
    speaker.cut(number)
    rows = [speaker._rows[place] for place in range(number, 60)]
    assert np.abs(rows[-1]).max() <= np.abs(rows[0]).max()
    speaker.hear(np.zeros(SAMPLES_PER_FRAME, np.float32))
    speaker.picture(number)
    later = speaker._rows.get(number + REST_ROWS, np.zeros(len(COEFFICIENTS), np.float32))
    assert later[PLACE["jawOpen"]] < 0.02
    speaker.close()


@needs_panda
def test_what_cannot_be_shown_is_told(head: Path, tmp_path: Path) -> None:
    for plan in (
        AvatarPlan(tmp_path / "none.glb"),
        AvatarPlan(head, method="dance"),
        AvatarPlan(head, side_px=97),
        AvatarPlan(head, mouth=-1),
    ):
        with pytest.raises(KouxingError) as told:
            plan.make()
        assert "\n" not in str(told.value)
