"""Footage made ready to speak live, and what it shows while somebody speaks and while nobody does."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_media import make_picture, make_sound, make_video
from infer.fake_parts import FixedTracker, FlatLips, black_between, fake_parts, paste
from kouxing.audio.encoder import SpeechEncoder
from kouxing.errors import KouxingError, MediaError, NoFaceError, NoVideoError, OptionError
from kouxing.media.colour import to_rgb
from kouxing.media.reader import probe, read_video
from kouxing.media.writer import VideoWriter
from kouxing.server.footage import CLOSED, LOOP, Pictures, bytes_of, frame_of, load, prepare
from kouxing.server.idle_loop import place
from kouxing.server.live_features import ROWS_AHEAD
from kouxing.server.speakers import FADE, FootageSpeaker, mixed
from kouxing.types import Float
from kouxing.units import SAMPLES_PER_FRAME
from rendered_world import tone

SIZE = (160, 128)


def film(path: Path, **more: Any) -> Path:
    """A video of moving stripes."""
    make_video(path, size=SIZE, **more)
    return path


FRAMES = 20


class Ear:
    """Stands for the encoder's dimensions; its stream is loudness, in step with the sound."""

    def __init__(self) -> None:
        self.dimensions = {"features": 16, "reach": 5}

    def stream(self) -> Ear:
        return Ear()

    def push(self, samples: Float) -> Float:
        level = float(np.sqrt((samples**2).mean()))
        return np.full((1, 16), level, np.float32)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("film") / "talk.mp4", frames=FRAMES)


@pytest.fixture(scope="module")
def folder(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ready")
    prepare(video, place, side_px=128, parts=fake_parts())
    return place


def speaker(folder: Path, idle: str = "closed", **more: float) -> FootageSpeaker:
    encoder: SpeechEncoder = Ear()  # type: ignore[assignment]
    return FootageSpeaker(load(folder), FlatLips(), encoder, idle, lay=paste, **more)


def shown(one: FootageSpeaker, blocks: list[Float]) -> list[bytes]:
    """All pictures that these blocks complete."""
    made = []
    for number, block in enumerate(blocks):
        one.hear(block)
        if number >= one.ahead:
            made.append(one.picture(number - one.ahead))
    return made


def speech(silent: int, loud: int, after: int) -> list[Float]:
    quiet = [np.zeros(SAMPLES_PER_FRAME, np.float32)]
    return quiet * silent + [tone(SAMPLES_PER_FRAME / 16_000)] * loud + quiet * after


def test_it_is_made_once(video: Path, folder: Path) -> None:
    told: list[str] = []
    again = prepare(video, folder, side_px=128, parts=fake_parts(), progress=lambda stage, *_: told.append(stage))
    assert not told and (again.width, again.height) == SIZE and 15 <= again.pictures <= FRAMES
    other = prepare(
        video, folder.with_name("small"), side_px=128, preset="fine", parts=fake_parts(),
        progress=lambda stage, *_: told.append(stage),
    )  # fmt: skip
    assert set(told) == {"look", "close"} and other.preset == "fine"


def test_a_half_made_folder_is_not_taken(video: Path, folder: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "close" and done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        prepare(video, tmp_path, side_px=128, parts=fake_parts(), progress=stop)
    with pytest.raises(MediaError, match="no prepared footage"):
        load(tmp_path)
    assert prepare(video, tmp_path, side_px=128, parts=fake_parts()).pictures == load(folder).pictures


@pytest.mark.parametrize("half", [b"", b"PK\x03\x04 no archive"])
def test_a_damaged_folder_is_told_of_and_made_anew(video: Path, tmp_path: Path, half: bytes) -> None:
    made = prepare(video, tmp_path, side_px=128, parts=fake_parts())
    (tmp_path / LOOP).write_bytes(half)
    with pytest.raises(MediaError, match="holds no prepared footage") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert prepare(video, tmp_path, side_px=128, parts=fake_parts()).pictures == made.pictures


def test_silence_plays_the_closed_mouth_forth_and_back_without_the_network(folder: Path) -> None:
    one = speaker(folder)
    made = shown(one, speech(80, 0, 0))
    count = load(folder).pictures
    assert len(made) == 80 - one.ahead > 2 * count
    assert made[: count - 1] == made[2 * (count - 1) : 3 * (count - 1)]
    assert made[count - 2] == made[count] and made[count - 3] == made[count + 1]
    closed = Pictures(folder / CLOSED, *SIZE)
    assert made[3] == closed.raw(3)
    assert one._model.windows == []  # type: ignore[attr-defined]


def test_speaking_and_silence_join_without_a_change(folder: Path) -> None:
    # A mouth that the network closes is the closed mouth of the idle loop, bit for bit, seam and all.
    one = speaker(folder)
    for number in (0, 7):
        silence = np.zeros((11, 16), np.float32)
        assert bytes_of(one._painted(number, silence)) == one._closed.raw(number)


def test_the_mouth_follows_the_sound_and_the_rest_is_the_footage(folder: Path) -> None:
    one = speaker(folder)
    made = [to_rgb(frame_of(raw, *SIZE)).astype(int) for raw in shown(one, speech(30, 20, 40))]
    filmed = Pictures(folder / "filmed.yuv", *SIZE, load(folder).first)
    mouth = np.array([picture[75:95, 70:90, 0].mean() for picture in made])
    loud = np.flatnonzero(mouth > mouth[:20].mean() + 40)
    # Its middle feature is the picture's own sound.
    assert loud[0] == 30 and loud[-1] == 49
    for number in (5, 35, 60):
        before = to_rgb(filmed[place(number, load(folder).pictures)]).astype(int)
        np.testing.assert_array_equal(made[number][:50], before[:50])


def test_the_filmed_mouth_fades_into_the_painted_one_and_back(folder: Path) -> None:
    one, closed = speaker(folder, "filmed"), load(folder)
    made = shown(one, speech(30, 20, 40))
    filmed = Pictures(folder / "filmed.yuv", *SIZE, closed.first)
    asleep = [raw == filmed.raw(place(number, closed.pictures)) for number, raw in enumerate(made)]
    first, last = asleep.index(False), len(asleep) - 1 - asleep[::-1].index(False)
    # It begins with what the network first looks ahead to, and is gone soon after what it last looks back to.
    assert 30 - ROWS_AHEAD - 3 <= first <= 30 - ROWS_AHEAD and 49 < last <= 49 + 5 + FADE + 1
    frame = mixed(filmed[0], Pictures(folder / CLOSED, *SIZE)[0], 0.0)
    assert bytes_of(frame) == filmed.raw(0)


def test_the_opening_coefficient_reaches_the_network(folder: Path) -> None:
    quiet, wide = (shown(speaker(folder, mouth=value), speech(20, 20, 20))[25] for value in (0.5, 1.5))
    dark, bright = (to_rgb(frame_of(raw, *SIZE))[75:95, 70:90, 0].mean() for raw in (quiet, wide))
    assert bright > dark + 40


def test_an_interruption_closes_the_mouth_at_once(folder: Path) -> None:
    one = speaker(folder)
    blocks = speech(20, 60, 0)
    shown(one, blocks)
    number = len(blocks) - one.ahead - 2
    one.cut(number)
    closed = Pictures(folder / CLOSED, *SIZE)
    assert one.picture(number + 1) == closed.raw(place(number + 1, load(folder).pictures))


def test_frames_without_the_face_are_left_out_of_the_loop(tmp_path: Path) -> None:
    gap = film(tmp_path / "gap.mp4", frames=40, picture=black_between(SIZE, 0, 15))
    made = prepare(gap, tmp_path / "ready", side_px=128, parts=fake_parts())
    assert made.first >= 15 and made.pictures <= 25


def test_other_rates_are_brought_to_25_and_photos_work(tmp_path: Path) -> None:
    fast = film(tmp_path / "fast.mp4", frames=50, rate=Fraction(50))
    counted: list[int] = []
    prepare(fast, tmp_path / "a", side_px=128, parts=fake_parts(), progress=lambda stage, done, _: counted.append(done))
    assert max(counted) == 25
    make_picture(tmp_path / "me.png", size=(320, 256))
    made = prepare(tmp_path / "me.png", tmp_path / "b", side_px=128, parts=fake_parts())
    assert made.pictures == 1 and (made.width, made.height) == (160, 128)


def test_viewers_are_sent_square_pixels(tmp_path: Path) -> None:
    plain = film(tmp_path / "plain.mp4", frames=5)
    first = next(iter(read_video(plain)))
    shape = replace(probe(plain), sample_aspect=Fraction(16, 15))
    with VideoWriter(tmp_path / "wide.mp4", like=shape) as writer:
        writer.write(first)
    was = probe(tmp_path / "wide.mp4")
    assert was.shown_width == round(was.width * Fraction(16, 15))
    made = prepare(tmp_path / "wide.mp4", tmp_path / "a", side_px=128, parts=fake_parts())
    assert abs(made.width / made.height - was.shown_width / was.height) < 0.04


class Nobody(FixedTracker):
    def __init__(self, follow: int = 0) -> None:
        super().__init__(1)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda folder: folder / "none.mp4", MediaError, "no such file"),
        (lambda folder: make_sound(folder / "sound.wav", 1) or folder / "sound.wav", NoVideoError, "no picture"),
        (lambda folder: film(folder / "wall.mp4", frames=5), NoFaceError, "no such face"),
    ],
)
def test_bad_footage_is_one_line(tmp_path: Path, make, error, words) -> None:
    with pytest.raises(error, match=words) as told:
        prepare(make(tmp_path), tmp_path / "ready", side_px=128, parts=fake_parts(tracker=Nobody))
    assert "\n" not in str(told.value) and isinstance(told.value, KouxingError)


def test_options_out_of_range_are_told(video: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="picture size 99"):
        prepare(video, tmp_path, side_px=99, parts=fake_parts())
    with pytest.raises(OptionError, match="idle asleep"):
        speaker(folder, "asleep")
    with pytest.raises(OptionError, match="mouth 4"):
        speaker(folder, mouth=4)
