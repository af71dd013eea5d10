"""The scorer in a world where sync is known: offsets, time bases, several faces, refusals, and sound put right."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from fake_media import best_shift, make_video
from kouxing.audio.features import frame_mels, log_mel
from kouxing.errors import MediaError, NoFaceError, NoSoundError, NoVideoError, OptionError, OutputError, UnsureError
from kouxing.face.crop import apply, crop_face, crop_matrices, invert
from kouxing.face.mouth_picture import mouth_pictures
from kouxing.face.offset import similarities
from kouxing.face.track import FaceTracker, Observation
from kouxing.infer.score import score
from kouxing.infer.score_listen import Heard
from kouxing.infer.score_look import Parts
from kouxing.infer.score_report import ScoreReport
from kouxing.infer.score_sure import LONGEST, SURE, Ruler
from kouxing.infer.score_time import drift, moments, speaking, stretches
from kouxing.infer.score_watch import HELD, Watcher, steadied, watch
from kouxing.media.colour import to_rgb
from kouxing.media.reader import load_sound, read_video
from kouxing.types import Bytes, Float, VideoFrame
from kouxing.units import CROP_PX, FRAME_HZ, SAMPLE_HZ
from sync_world import FACE_PX, Brightness, Place, Two, code, sound_of, talk


def parts(tracker: type[Place] = Place) -> Parts:
    return Parts(tracker, Brightness())


@pytest.mark.parametrize("late", [-12.0, -3.5, 0.0, 1.0, 12.0])
def test_it_tells_how_late_the_sound_is(tmp_path: Path, late: float) -> None:
    talk(tmp_path / "a.mp4", 4, late)
    told = score(tmp_path / "a.mp4", parts=parts())
    assert abs(told.offset_frames - late) < 0.25
    assert told.offset_ms == pytest.approx(40 * told.offset_frames)
    assert told.verdict == ("in step" if late == 0 else "sound late" if late > 0 else "sound early")
    assert told.probability > 0.9
    assert len(told.stretches) == 1
    assert all(abs(one.offset_frames - late) < 0.3 for one in told.moments if one.offset_frames is not None)


@pytest.mark.parametrize("rate", [10, 24, 30, 50, 60])
def test_any_frame_rate(tmp_path: Path, rate: int) -> None:
    """Codes that hold for 0.2 s, so that ten frames a second show them."""
    said = np.repeat(code(32, 3), 5)
    talk(tmp_path / "a.mp4", 6, 4, mouths=(said, None), heard=said, rate=rate)
    told = score(tmp_path / "a.mp4", parts=parts())
    # The codes change just as a frame is taken: that is seen half a frame early, in the file's own frames.
    assert abs(told.offset_frames - 4) < 0.6 * max(FRAME_HZ / rate, 1)


def test_uneven_times_and_a_hole_in_the_picture(tmp_path: Path) -> None:
    steps = np.random.default_rng(1).integers(1, 4, 400)
    times = [Fraction(int(tick), 60) for tick in np.cumsum(steps) - steps[0] if not 120 < tick < 200][:280]
    talk(tmp_path / "a.mkv", float(times[-1]), 5, times=times, rate=60)
    told = score(tmp_path / "a.mkv", parts=parts())
    assert abs(told.offset_frames - 5) < 0.6
    assert told.faces[0].seen_s < told.seconds - 0.7


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turned_pictures(tmp_path: Path, rotation: int) -> None:
    talk(tmp_path / "a.mp4", 3, -4, rotation=rotation)
    assert abs(score(tmp_path / "a.mp4", parts=parts()).offset_frames + 4) < 0.25


def test_pictures_are_taken_at_the_nearest_time() -> None:
    def at(*ticks: int) -> list[tuple[int, int, int]]:
        frames = [SimpleNamespace(time=Fraction(tick, 50), tick=tick) for tick in ticks]
        return [(one.frame.tick, one.number, one.times) for one in steadied(frames)]  # type: ignore[arg-type]

    assert at(0, 2, 4) == [(0, 0, 1), (2, 1, 1), (4, 2, 1)]
    assert at(0, 1, 2, 3, 4) == [(0, 0, 1), (2, 1, 1), (4, 2, 1)]
    assert at(0, 10) == [(0, 0, 3), (10, 3, 3)]
    assert at(0, 40) == [(0, 0, HELD + 1), (40, 20 - HELD, HELD + 1)]
    assert at(3) == [(3, 0, 3)]


class Swaying(Place):
    """The face moves, turns and grows; it is lost for two pictures, and a new shot begins once."""

    def push(self, image: VideoFrame) -> Observation:
        seen = super().push(image)
        t = self.count
        angle, size = 0.1 * np.sin(t / 7), FACE_PX * (1 + 0.1 * np.sin(t / 9))
        scale = CROP_PX / size
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        x, y = 90 + 6 * np.sin(t / 5), 110 + 3 * np.cos(t / 4)
        half = CROP_PX / 2
        matrix = np.array([[cos, -sin, half - cos * x + sin * y], [sin, cos, half - sin * x - cos * y]], np.float32)
        crop = apply(np.eye(2, 3, dtype=np.float32), np.asarray(self.points, np.float32))
        found = t not in (41, 42)
        return Observation(found, t == 90, seen.lips, apply(invert(matrix), crop), seen.jaw)

    points = ((79, 70), (103, 70), (153, 70), (177, 70), (128, 122), (128, 230), (40, 110), (216, 110))


class Recorder(Brightness):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[Bytes] = []

    def embed_mouths(self, pictures: Bytes) -> Float:
        self.shown.append(pictures)
        return super().embed_mouths(pictures)


def test_mouth_pictures_are_those_of_training(tmp_path: Path) -> None:
    """In pieces, from patches, they are what the whole track and whole frames give."""
    talk(tmp_path / "a.mp4", 8)
    frames = list(read_video(tmp_path / "a.mp4"))
    tracker, judge = Swaying(), Recorder()
    seen = [tracker.push(frame) for frame in frames]
    matrices = crop_matrices(
        np.stack([one.anchors for one in seen]),
        np.array([one.found for one in seen]),
        np.array([one.cut for one in seen]),
        FRAME_HZ,
    )
    wanted = mouth_pictures(crop_face(to_rgb(f), m).image for f, m in zip(frames, matrices, strict=True))
    sound = load_sound(tmp_path / "a.mp4").samples
    with ThreadPoolExecutor(1) as pool:
        watcher = Watcher(Swaying(), judge, Heard(iter([sound]), judge), pool, every=1)
        watch(steadied(iter(frames)), [watcher], lambda done: None)
        watched = watcher.finish()
    tail = 2 * (judge.mouth_frames // 2)
    got: list[Bytes] = []
    for piece in judge.shown:
        fresh = not got or sum(map(len, got)) == 89
        got.append(piece if fresh else piece[tail:])
    assert len(judge.shown) > 2
    # Rounding may fall otherwise, for a patch counts its pixels from another corner: a level or two at hard edges.
    off = np.abs(np.concatenate(got).astype(int) - wanted)
    assert off.max() <= 3 and off.mean() < 0.01
    assert watched.cuts == (89,)
    speech = judge.embed_speech(frame_mels(log_mel(sound), len(frames)))
    mouths = np.concatenate([judge.embed_mouths(wanted[:89]), judge.embed_mouths(wanted[89:])])
    np.testing.assert_allclose(watched.sim, similarities(mouths, speech), atol=0.01)
    assert np.isnan(watched.sim[87:91]).all()


class Slow(Place):
    """The face moves slowly, by time and not by pictures tracked; a new shot begins at picture 75."""

    def push(self, image: VideoFrame) -> Observation:
        seen = super().push(image)
        number = round(image.time * FRAME_HZ)
        shift = np.array([6 * np.sin(number / 20), 3 * np.cos(number / 15)], np.float32)
        cut, self.later = number >= 75 and not self.later, number >= 75
        return Observation(seen.found, cut, seen.lips, seen.anchors + shift, seen.jaw)

    later = False


def test_every_second_picture_tracked_is_enough(tmp_path: Path) -> None:
    talk(tmp_path / "a.mp4", 6, -2, dark=((1.0, 1.3),))
    frames = list(read_video(tmp_path / "a.mp4"))
    sound = load_sound(tmp_path / "a.mp4").samples
    found = []
    for every in (1, 2):
        judge, tracker = Brightness(), Slow()
        with ThreadPoolExecutor(1) as pool:
            watcher = Watcher(tracker, judge, Heard(iter([sound]), judge), pool, every)
            watch(steadied(iter(frames)), [watcher], lambda done: None)
            found.append(watcher.finish())
        assert tracker.count <= (150 if every == 1 else 90)
    known = np.isfinite(found[1].sim)
    # Nothing is told that tracking everything would not tell, and little is lost: what touches a cut or a gap.
    assert not (known & ~np.isfinite(found[0].sim)).any()
    assert known.sum() > 0.94 * np.isfinite(found[0].sim).sum()
    np.testing.assert_allclose(found[0].sim[known], found[1].sim[known], atol=0.03)
    assert abs(found[0].seen.mean() - found[1].seen.mean()) < 0.03


def test_speech_in_pieces_is_that_of_the_whole() -> None:
    samples = sound_of(code(1500), 0)[::3]
    judge = Brightness()
    wanted = judge.embed_speech(log_mel(samples))
    cuts = np.sort(np.random.default_rng(0).integers(0, len(samples), 60))
    heard = Heard(iter(np.split(samples, cuts)), judge)
    assert np.isnan(heard.rows(-15, 2)).all()
    got = np.concatenate([heard.rows(first, first + 100) for first in range(0, 1500, 100)])
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert np.isnan(heard.rows(1498, 1600)).all()
    heard.finish()
    assert len(heard.levels) == 1500


def test_speech_long_past_is_let_go() -> None:
    heard = Heard((sound_of(code(100, seed), 0)[::3] for seed in range(60)), Brightness())
    for first in range(0, 5900, 100):
        heard.rows(first, first + 100)
    assert len(heard._rows) < 3000
    with pytest.raises(ValueError, match="gone"):
        heard.rows(100, 200)


def test_two_faces_one_of_whom_speaks(tmp_path: Path) -> None:
    said, other = code(150, 1), code(150, 2)
    talk(tmp_path / "a.mp4", 6, 2, mouths=(other, said), heard=said)
    told = score(tmp_path / "a.mp4", parts=parts(Two))
    assert told.speaker == 1
    assert abs(told.offset_frames - 2) < 0.25
    assert told.faces[0].offset_frames is None
    assert sum(b - a for a, b in told.faces[1].speaking) > 4
    assert sum(b - a for a, b in told.faces[0].speaking) < 1
    with pytest.raises(UnsureError, match="do not clearly follow"):
        score(tmp_path / "a.mp4", face=0, parts=parts(Two))
    assert score(tmp_path / "a.mp4", face=1, parts=parts(Two)).speaker == 1


def test_two_faces_take_turns(tmp_path: Path) -> None:
    first, second = code(200, 1), code(200, 2)
    heard = np.concatenate([first[:100], second[100:]])
    talk(tmp_path / "a.mp4", 8, 3, mouths=(first, second), heard=heard)
    told = score(tmp_path / "a.mp4", parts=parts(Two))
    assert abs(told.offset_frames - 3) < 0.3
    assert all(end < 4.8 for _, end in told.faces[0].speaking)
    assert all(begin > 3.2 for begin, _ in told.faces[1].speaking)
    assert all(sum(b - a for a, b in face.speaking) > 2.5 for face in told.faces)


def test_the_face_is_away_for_a_while(tmp_path: Path) -> None:
    talk(tmp_path / "a.mp4", 8, -6, dark=((2.0, 4.0), (5.0, 5.2)))
    told = score(tmp_path / "a.mp4", parts=parts())
    assert abs(told.offset_frames + 6) < 0.25
    assert told.faces[0].seen_s == pytest.approx(5.8, abs=0.1)


def refused(path: Path, kind: type[Exception], word: str, **more: object) -> None:
    with pytest.raises(kind) as caught:
        score(path, parts=parts(), **more)  # type: ignore[arg-type]
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_refuses_what_it_cannot_tell(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    talk(path, 3, sound=False)
    refused(path, NoSoundError, "no sound")
    talk(path, 3, dark=((0, 9),))
    refused(path, NoFaceError, "no face")
    talk(path, 3)
    refused(path, NoFaceError, "no face 3", face=3)
    talk(path, 3, samples=np.zeros(3 * 48_000, np.float32))
    refused(path, UnsureError, "silent")
    talk(path, 3, heard=code(75, 9))
    refused(path, UnsureError, "do not clearly follow")
    talk(path, 0.7)
    refused(path, UnsureError, "lasts 0.72 s, about 1.2 s are needed")
    talk(path, 3, dark=((0.88, 9),))
    refused(path, UnsureError, "shows a face for 0.84 s, about 1.2 s are needed")
    talk(path, 5, mouths=(np.full(125, 0.5), None), heard=code(125))
    refused(path, UnsureError, "follow")
    talk(path, 4, 15)
    refused(path, UnsureError, "600 ms")


def test_one_second(tmp_path: Path) -> None:
    """Told rightly or not at all."""
    for late in (-9, -2, 0, 3, 8):
        talk(tmp_path / "a.mp4", 1.0, late)
        try:
            told = score(tmp_path / "a.mp4", parts=parts())
        except UnsureError:
            continue
        assert abs(told.offset_frames - late) < 1


def never(*told: object) -> None:
    """Progress of work that shall not begin."""
    raise AssertionError(told)


def test_bad_files_and_options(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    talk(path, 2)
    refused(tmp_path / "none.mp4", MediaError, "does not exist")
    refused(path, OptionError, "counted from 0", face=-1)
    refused(path, OptionError, "end it in .png", plot=tmp_path / "a.jpg")
    refused(path, OptionError, "end it in .mp4", fix=tmp_path / "a.mkv")
    refused(path, OutputError, "is the input", fix=path)
    refused(path, OutputError, "make it first", fix=tmp_path / "no" / "b.mp4")
    (tmp_path / "b.mp4").write_bytes(b"old")
    refused(path, OutputError, "is there already", fix=tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_bytes() == b"old"
    talk(tmp_path / "a.mkv", 2)
    other = (tmp_path / "a.mkv").rename(tmp_path / "other.webm")
    refused(other, MediaError, "cannot be copied", fix=tmp_path / "c.webm", progress=never)
    from fake_media import make_picture, make_sound

    make_picture(tmp_path / "p.png")
    refused(tmp_path / "p.png", NoVideoError, "no moving picture")
    make_sound(tmp_path / "s.wav", 2)
    refused(tmp_path / "s.wav", NoVideoError, "picture")


def test_another_voice_is_no_answer() -> None:
    """The chance falls with how much a lag stands out, and with the seconds that disagree."""
    spoken = np.ones(200, bool)
    clear = RULER.measure(sims(np.full(200, 3.0)), spoken)
    torn = RULER.measure(sims(np.where(np.arange(200) < 110, 3.0, -9.0)), spoken)
    noise = RULER.measure(np.random.default_rng(5).normal(0, 0.2, (200, 31)).astype(np.float32), spoken)
    assert clear.probability > 0.97
    assert torn.probability < SURE
    assert noise.probability < 0.6
    short = sims(np.full(20, 3.0))
    short[:, 25:] = np.nan
    short[0, 25:] = 0.0
    assert RULER.measure(short, spoken[:20]).probability == 0


def packets(path: Path) -> Iterator[bytes]:
    with av.open(str(path)) as container:
        yield from (bytes(packet) for packet in container.demux(video=0) if packet.size)


@pytest.mark.parametrize("late", [-12, -5, -1, 1, 4, 12])
def test_fix_puts_the_sound_where_it_belongs(tmp_path: Path, late: int) -> None:
    source, out = tmp_path / "a.mp4", tmp_path / "b.mp4"
    talk(source, 4, late, options={"preset": "medium", "bf": "2"})
    told = score(source, fix=out, parts=parts())
    assert told.fixed == out
    assert told.moved_ms == pytest.approx(-40 * late, abs=8)
    assert list(packets(source)) == list(packets(out))
    again = score(out, parts=parts())
    assert again.verdict == "in step"
    assert abs(again.offset_frames) < 0.25
    moved = -best_shift(load_sound(out).samples, load_sound(source).samples, 10_000) / SAMPLE_HZ * FRAME_HZ
    assert abs(moved - late) < 0.25


def test_fix_leaves_what_is_in_step_alone(tmp_path: Path) -> None:
    source, out = tmp_path / "a.mp4", tmp_path / "b.mp4"
    talk(source, 4)
    told = score(source, fix=out, parts=parts())
    assert out.read_bytes() == source.read_bytes()
    assert told.moved_ms == 0
    assert "unchanged copy" in told.warnings[-1]


def test_fix_refuses_where_the_offset_jumps(tmp_path: Path) -> None:
    said = code(400)
    wave = np.concatenate([sound_of(said, -3)[: 8 * 48_000], sound_of(said, 5)[8 * 48_000 :]])
    talk(tmp_path / "a.mp4", 16, mouths=(said, None), samples=wave)
    told = score(tmp_path / "a.mp4", parts=parts())
    assert told.verdict == "varies"
    assert [round(part.offset_frames) for part in told.stretches] == [-3, 5]
    assert told.stretches[0].end_s == pytest.approx(8, abs=1)
    with pytest.raises(UnsureError, match="not the same throughout"):
        score(tmp_path / "a.mp4", fix=tmp_path / "b.mp4", parts=parts())
    assert not (tmp_path / "b.mp4").exists()


def test_the_plot_shows_the_offset(tmp_path: Path) -> None:
    import cv2

    talk(tmp_path / "a.mp4", 4, 5)
    score(tmp_path / "a.mp4", plot=tmp_path / "a.png", parts=parts())
    image = cv2.imread(str(tmp_path / "a.png")).astype(int)
    # The brightest line of the map (OpenCV's viridis ends in yellow) lies at its lag.
    strip = image[44:354, 400]
    yellow = strip[:, 1] + strip[:, 2] - strip[:, 0]
    assert np.argmax(yellow) == pytest.approx((15 + 0.5 - 5) / 31 * 310, abs=8)


def sims(offsets: Float, seed: int = 0) -> Float:
    """``[T, 31]``: noise, and one lag that matches."""
    noise = np.random.default_rng(seed).normal(0, 0.2, (len(offsets), 31))
    lags = np.arange(-15, 16)
    return (noise + 0.6 * np.exp(-((lags - offsets[:, None]) ** 2) / 2)).astype(np.float32)


RULER = Ruler(Brightness.calibration)


def test_drift_is_told() -> None:
    offsets = np.linspace(-2, 4, 60 * FRAME_HZ)
    sim, spoken = sims(offsets), np.ones(len(offsets), bool)
    told = moments(sim, spoken, 0.0, RULER)
    assert drift(told, 60) == pytest.approx(6, abs=1)
    steady = moments(sims(np.full(len(offsets), 3.0)), spoken, 0.5, RULER)
    assert abs(drift(steady, 60) or 9) < 0.3
    assert steady[10].offset_frames == pytest.approx(2.5, abs=0.3)
    assert drift(steady[:4], 6) is None


def test_jumps_lie_at_cuts() -> None:
    offsets = np.concatenate([np.full(250, 2.0), np.full(330, -4.0), np.full(400, 2.0)])
    spoken = np.ones(len(offsets), bool)
    told = stretches(sims(offsets), spoken, (100, 251, 579), 0.0, RULER)
    assert [round(part.offset_frames) for part in told] == [2, -4, 2]
    assert [part.start_s * FRAME_HZ for part in told] == pytest.approx([0, 251, 579])
    assert told[-1].end_s * FRAME_HZ == pytest.approx(len(offsets))
    assert len(stretches(sims(np.full(500, 2.0)), spoken[:500], (), 0.0, RULER)) == 1


def test_silence_and_noise_are_no_stretches() -> None:
    for seed in range(6):
        noise = np.random.default_rng(seed).normal(0, 0.2, (500, 31)).astype(np.float32)
        assert len(stretches(noise, np.ones(500, bool), (), 0.0, RULER)) < 2
    assert stretches(sims(np.zeros(500)), np.zeros(500, bool), (), 0.0, RULER) == ()
    assert stretches(np.zeros((0, 31), np.float32), np.zeros(0, bool), (), 0.0, RULER) == ()


def test_nobody_speaks_in_silence() -> None:
    spoken = np.ones(400, bool)
    spoken[100:300] = False
    told = speaking([sims(np.zeros(400))], spoken, 0.0)[0]
    assert told and all(not 4.0 < (a + b) / 2 < 12.0 for a, b in told)


def test_an_hour_is_measured_on_a_part_of_it() -> None:
    offsets = np.full(2 * LONGEST, 3.0)
    told = RULER.measure(sims(offsets), np.ones(len(offsets), bool))
    assert told.rows < 1.1 * LONGEST
    assert told.frames == pytest.approx(3, abs=0.1)


def test_progress_and_speed(tmp_path: Path) -> None:
    talk(tmp_path / "a.mp4", 3)
    seen: list[tuple[str, int, int | None]] = []
    told: ScoreReport = score(tmp_path / "a.mp4", parts=parts(), progress=lambda *one: seen.append(one))
    assert seen[-1] == ("look", 75, 75)
    assert told.seconds == pytest.approx(3.0)
    assert told.speed_x > 0


def test_a_tracker_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    talk(tmp_path / "a.mp4", 3)
    made: list[Place] = []

    class Failing(Place):
        def __init__(self, follow: int = 0) -> None:
            super().__init__(follow)
            made.append(self)

        def push(self, image: VideoFrame) -> Observation:
            if self.count == 20:
                raise RuntimeError("broken")
            return super().push(image)

    with pytest.raises(RuntimeError, match="broken"):
        score(tmp_path / "a.mp4", parts=parts(Failing))
    assert made[0].closed


def test_with_the_real_tracker_two_people_one_of_whom_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both pulse; the sound follows the second one's pulse, two frames late. Trackers forget their rows on the way."""
    from face.people import anna, bert, put, wall
    from kouxing.infer import score_watch

    monkeypatch.setattr(score_watch, "FORGET_EVERY", 7)
    said, other = code(125, 1), code(125, 2)
    back = wall()

    def picture(number: int) -> Bytes:
        scene = back.copy()
        for person, codes, x, zoom in ((anna(), other, 170, 1.15), (bert(), said, 470, 0.95)):
            light = 0.75 + 0.35 * codes[min(number, 124)]
            put(scene, np.clip(person * light, 0, 255).astype(np.uint8), x, 190, zoom)
        return scene

    make_video(
        tmp_path / "a.mp4",
        frames=125,
        size=(640, 360),
        picture=picture,
        sound_rate=48_000,
        samples=sound_of(said, 2),
    )
    told = score(tmp_path / "a.mp4", parts=Parts(FaceTracker, Brightness()))
    assert len(told.faces) == 2
    assert told.speaker == 1
    assert abs(told.offset_frames - 2) < 0.5
    assert told.faces[0].offset_frames is None
    assert min(face.seen_s for face in told.faces) > 4.5
