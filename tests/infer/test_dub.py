"""The whole job, on made footage with simple pieces: lengths, resuming, frames without face, every user's mistake."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
import scipy.io.wavfile

from fake_media import make_picture, make_sound, make_video, stripes
from infer.fake_parts import SHORT, FixedTracker, FlatLips, Loudness, black_between, fake_parts
from infer.fake_parts import paste as fake_paste
from kouxing.errors import (
    KouxingError,
    MediaError,
    NoFaceError,
    NoSoundError,
    NoVideoError,
    OptionError,
    OutputError,
    WeightError,
)
from kouxing.infer import dub as module
from kouxing.infer import scan as scan_module
from kouxing.infer.dub import dub
from kouxing.infer.speech import Speech
from kouxing.media.metadata import read_mark
from kouxing.media.reader import load_sound, probe, read_video
from kouxing.units import SAMPLE_HZ

SIZE = (160, 120)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(module, "SEGMENT_S", SHORT)
    monkeypatch.setattr(scan_module, "CHUNK", 12)


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Two seconds of footage and speech of several lengths."""
    folder = tmp_path_factory.mktemp("media")
    make_video(folder / "face.mp4", frames=50, size=SIZE)
    for seconds in (1, 2, 3, 5):
        make_sound(folder / f"speech{seconds}.wav", seconds)
    return folder


def frames_of(path):
    return list(read_video(path))


def same_pictures(one, other):
    return len(one) == len(other) and all(
        a.pts == b.pts and all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))
        for a, b in zip(one, other, strict=True)
    )


def changed(source, made, threshold=40):
    """Whether the mouth region of each made frame differs from the source frame with the same number."""
    return [
        bool((np.abs(a.planes[0][62:78, 62:98].astype(int) - b.planes[0][62:78, 62:98]) > threshold).mean() > 0.2)
        for a, b in zip(source, made, strict=False)
    ]


@pytest.mark.parametrize(("length", "seconds", "frames"), [("video", 2, 50), ("speech", 3, 75), ("loop", 3, 75)])
def test_lengths_of_a_longer_speech(media, tmp_path, length, seconds, frames):
    out = tmp_path / "out.mp4"
    report = dub(media / "face.mp4", media / "speech3.wav", out, length=length, parts=fake_parts())
    info = probe(out)
    assert report.frames == frames == len(frames_of(out)) and report.seconds == seconds
    assert abs(float(info.seconds) - seconds) < 0.001 and abs(float(info.sound_seconds) - seconds) < 0.07
    assert (info.width, info.height, info.rate) == (*SIZE, Fraction(25))
    cut = any("1.0 s longer than the video" in line for line in report.warnings)
    assert cut == (length == "video")
    assert not (tmp_path / "out.mp4.job").exists() and [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize(("length", "frames"), [("video", 50), ("speech", 25), ("loop", 25)])
def test_lengths_of_a_shorter_speech(media, tmp_path, length, frames):
    out = tmp_path / "out.mp4"
    lips = FlatLips()
    report = dub(
        media / "face.mp4", media / "speech1.wav", out, length=length, parts=fake_parts(lips=lambda preset: lips)
    )
    assert report.frames == frames and report.dubbed_frames == frames
    if length == "video":
        # After the speech the mouth rests: the features there are 0.
        assert sum(1 for window in lips.windows if not window.any()) >= 18


def test_a_speech_that_fails_does_not_wait_for_the_end_of_the_footage(media, tmp_path):
    begun, seen = threading.Event(), []

    class Deaf(Loudness):
        def push(self, samples):
            begun.wait(10)
            raise MediaError("the speech breaks off")

    class Slow(FixedTracker):
        def push(self, image):
            begun.set()
            time.sleep(0.01)
            seen.append(image)
            return super().push(image)

    parts = fake_parts(speech=Deaf, tracker=Slow)
    with pytest.raises(MediaError, match="breaks off"):
        dub(media / "face.mp4", media / "speech2.wav", tmp_path / "out.mp4", parts=parts)
    assert len(seen) < 40 and not list(tmp_path.iterdir())


def test_footage_that_fails_stops_the_listening(media, tmp_path):
    heard = []

    class Slow(Loudness):
        def push(self, samples):
            heard.append(len(samples))
            time.sleep(0.2)
            return super().push(samples)

    class Blind(FixedTracker):
        def push(self, image):
            raise MediaError("the footage breaks off")

    make_sound(tmp_path / "long.wav", 200)
    with pytest.raises(MediaError, match="footage breaks off"):
        dub(
            media / "face.mp4",
            tmp_path / "long.wav",
            tmp_path / "out.mp4",
            parts=fake_parts(speech=Slow, tracker=Blind),
        )
    assert len(heard) < 10 and [path.name for path in tmp_path.iterdir()] == ["long.wav"]


def test_output_is_marked_keeps_its_sound_and_reports(media, tmp_path):
    out = tmp_path / "out.mp4"
    told = []
    report = dub(
        media / "face.mp4", media / "speech2.wav", out, progress=lambda *step: told.append(step), parts=fake_parts()
    )
    assert read_mark(out).endswith("compositeWithTrainedAlgorithmicMedia")
    heard, said = load_sound(out, 16_000).samples, load_sound(media / "speech2.wav", 16_000).samples
    size = min(len(heard), len(said))
    assert np.corrcoef(heard[:size], said[:size])[0, 1] > 0.95
    assert list(dict.fromkeys(stage for stage, _, _ in told if stage != "listen")) == ["scan", "paint", "join"]
    for stage in ("scan", "paint"):
        done = [count for name, count, _ in told if name == stage]
        assert done == sorted(done) and done[-1] == 50
    assert all(total is None or done <= total for _, done, total in told)
    as_json = report.as_dict()
    assert as_json["out"] == str(out) and as_json["frames"] == 50 and as_json["fps"] > 0
    assert as_json["warnings"] == ["the face is only 55 px wide: its mouth stays soft"]


def test_mouth_moves_with_the_speech_and_obeys_its_coefficient(media, tmp_path):
    def tone(mouth):
        lips = FlatLips()
        parts = fake_parts(lips=lambda preset: lips)
        out = tmp_path / f"{mouth}.mp4"
        dub(media / "face.mp4", media / "speech2.wav", out, mouth=mouth, parts=parts)
        return np.array([frame.planes[0][66:78, 66:94].mean() for frame in frames_of(out)])

    low, high = tone(0.5), tone(1.5)
    assert high.mean() > low.mean() + 3


def test_uneven_frame_times_are_kept(media, tmp_path):
    times = make_video(tmp_path / "vfr.mkv", frames=40, size=SIZE, rate=30, vfr=True)
    dub(tmp_path / "vfr.mkv", media / "speech2.wav", tmp_path / "out.mp4", parts=fake_parts())
    assert [float(frame.time) for frame in frames_of(tmp_path / "out.mp4")] == pytest.approx(
        [float(time) for time in times], abs=0.0006
    )


def test_frames_without_face_pass_untouched_before_encoding(media, tmp_path, monkeypatch):
    make_video(tmp_path / "gap.mp4", frames=40, size=SIZE, picture=black_between(SIZE, 10, 22))
    source = frames_of(tmp_path / "gap.mp4")
    written = []
    write = module.VideoWriter.write

    def watched(self, frame):
        written.append(frame)
        write(self, frame)

    monkeypatch.setattr(module.VideoWriter, "write", watched)
    report = dub(tmp_path / "gap.mp4", media / "speech2.wav", tmp_path / "out.mp4", parts=fake_parts())
    assert (report.dubbed_frames, report.passed_frames) == (28, 12)
    assert any("12 of 40 frames do not show the face" in line for line in report.warnings)
    for number in range(10, 22):
        assert all(np.array_equal(a, b) for a, b in zip(source[number].planes, written[number].planes, strict=True))
    assert not np.array_equal(source[5].planes[0], written[5].planes[0])


def test_short_losses_of_the_face_are_bridged(media, tmp_path):
    make_video(tmp_path / "blink.mp4", frames=40, size=SIZE, picture=black_between(SIZE, 10, 13))
    report = dub(tmp_path / "blink.mp4", media / "speech2.wav", tmp_path / "out.mp4", parts=fake_parts())
    assert report.passed_frames == 0


def test_a_picture_is_shown_for_the_speech(media, tmp_path):
    make_picture(tmp_path / "photo.png", size=SIZE)
    report = dub(tmp_path / "photo.png", media / "speech1.wav", tmp_path / "out.mp4", parts=fake_parts())
    frames = frames_of(tmp_path / "out.mp4")
    assert report.frames == len(frames) == 25 and report.seconds == 1
    assert [frame.time for frame in frames] == [Fraction(k, 25) for k in range(25)]
    assert probe(tmp_path / "out.mp4").rate == 25


def test_a_video_of_one_frame_works_like_a_picture(media, tmp_path):
    make_video(tmp_path / "one.mp4", frames=1, size=SIZE)
    assert dub(tmp_path / "one.mp4", media / "speech1.wav", tmp_path / "out.mp4", parts=fake_parts()).frames == 25


def test_odd_sizes_and_ten_bits_are_kept(media, tmp_path):
    make_video(tmp_path / "odd.mkv", frames=10, size=(161, 121), pix_fmt="yuv444p10le", picture=stripes((161, 121)))
    dub(tmp_path / "odd.mkv", media / "speech1.wav", tmp_path / "out.mp4", parts=fake_parts())
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.colour.pixel_format) == (161, 121, "yuv444p10le")


class Killed(BaseException):
    """Stands for a kill: nothing in the program catches it."""


class Stopping:
    """Raises after so many calls of a progress function."""

    def __init__(self, calls, error):
        self.calls, self.error = calls, error

    def __call__(self, stage, done, total):
        self.calls -= 1
        if self.calls < 0:
            raise self.error


@pytest.fixture(scope="module")
def whole(media, tmp_path_factory):
    """The same job, never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "SEGMENT_S", SHORT)
    dub(media / "face.mp4", media / "speech3.wav", folder / "out.mp4", length="loop", parts=fake_parts())
    patch.undo()
    return frames_of(folder / "out.mp4")


@pytest.mark.parametrize("seed", range(8))
def test_a_job_stopped_anywhere_resumes_to_the_same_pictures(media, tmp_path, whole, seed):
    rng = np.random.default_rng(seed)
    out = tmp_path / "out.mp4"
    job = {"length": "loop", "resume": True, "parts": fake_parts()}
    stops = 0
    for _ in range(30):
        try:
            dub(
                media / "face.mp4",
                media / "speech3.wav",
                out,
                progress=Stopping(int(rng.integers(1, 90)), Killed() if seed % 2 else KeyboardInterrupt()),
                **job,
            )
            break
        except (Killed, KeyboardInterrupt):
            stops += 1
            if out.exists():
                # Stopped in the very last moment: all is done.
                break
            assert (tmp_path / "out.mp4.job" / "plan.json").exists()
    assert stops > 0
    assert same_pictures(frames_of(out), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_finished_segments_and_scan_are_not_made_again(media, tmp_path):
    pushed, painted = [], []

    class Counted(FixedTracker):
        def push(self, image):
            pushed.append(image.pts)
            return super().push(image)

    class CountedLips(FlatLips):
        def paint(self, *given):
            painted.append(1)
            return super().paint(*given)

    parts = fake_parts(tracker=Counted, lips=CountedLips)
    given = (media / "face.mp4", media / "speech2.wav", tmp_path / "out.mp4")
    stop = Stopping(10**9, Killed())

    def progress(stage, done, total):
        if stage == "paint" and done == 34:
            raise Killed

    with pytest.raises(Killed):
        dub(*given, progress=progress, parts=parts)
    assert len(pushed) == 50
    painted.clear()
    dub(*given, progress=stop, resume=True, parts=parts)
    assert len(pushed) == 50 and len(painted) == 50 - 30


@pytest.mark.parametrize("name", ["*", "scan-00001.npz", "seam-00001.npz", "segment-00000.mp4", "footage.json"])
def test_pieces_that_a_power_cut_damaged_are_made_again(media, tmp_path, name):
    parts = fake_parts()
    whole, out = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    dub(media / "face.mp4", media / "speech2.wav", whole, parts=parts)

    def progress(stage, done, total):
        if stage == "paint" and done == 34:
            raise Killed

    with pytest.raises(Killed):
        dub(media / "face.mp4", media / "speech2.wav", out, progress=progress, parts=parts)
    pieces = [one for one in (tmp_path / "out.mp4.job").glob(name) if one.name != "plan.json"]
    assert pieces
    for number, piece in enumerate(pieces):
        content = piece.read_bytes()
        piece.write_bytes(content[: len(content) // 2] if number % 2 == 0 else b"")
    dub(media / "face.mp4", media / "speech2.wav", out, resume=True, parts=parts)
    assert same_pictures(frames_of(out), frames_of(whole))
    assert left(tmp_path) == ["out.mp4", "whole.mp4"]


def test_an_input_that_goes_away_for_a_while_costs_nothing(media, tmp_path):
    speech, out, painted = tmp_path / "speech.wav", tmp_path / "out.mp4", []
    shutil.copy2(media / "speech2.wav", speech)

    def progress(stage, done, total):
        if stage == "paint" and done == 50 and speech.exists():
            speech.rename(tmp_path / "away.wav")

    class CountedLips(FlatLips):
        def paint(self, *given):
            painted.append(1)
            return super().paint(*given)

    parts = fake_parts(lips=CountedLips)
    with pytest.raises(MediaError, match="--resume goes on"):
        dub(media / "face.mp4", speech, out, progress=progress, parts=parts)
    (tmp_path / "away.wav").rename(speech)
    painted.clear()
    dub(media / "face.mp4", speech, out, resume=True, parts=parts)
    assert painted == [] and left(tmp_path) == ["out.mp4", "speech.wav"]


def test_a_scan_goes_on_where_it_stopped(media, tmp_path):
    pushed = []

    class Counted(FixedTracker):
        def push(self, image):
            pushed.append(image.pts)
            return super().push(image)

    def progress(stage, done, total):
        if stage == "scan" and done == 31:
            raise Killed

    given = (media / "face.mp4", media / "speech2.wav", tmp_path / "out.mp4")
    parts = fake_parts(tracker=Counted)
    with pytest.raises(Killed):
        dub(*given, progress=progress, parts=parts)
    before, pushed[:] = list(pushed), []
    dub(*given, resume=True, parts=parts)
    # Pieces of 12 frames: two were whole.
    assert pushed[0] == before[24] and len(pushed) == 50 - 24


def test_a_job_killed_after_its_output_got_its_name_goes_on(media, tmp_path, monkeypatch):
    given = (media / "face.mp4", media / "speech2.wav", tmp_path / "out.mp4")

    def killed(job):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module.Job, "remove", killed)
        with pytest.raises(Killed):
            dub(*given, parts=fake_parts())
    assert given[2].is_file() and (tmp_path / "out.mp4.job").is_dir()
    with pytest.raises(OutputError, match="is there already"):
        dub(*given, parts=fake_parts())
    assert dub(*given, resume=True, parts=fake_parts()).frames == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4"]


def test_somebody_elses_output_is_not_taken_for_the_jobs(media, tmp_path, monkeypatch):
    given = (media / "face.mp4", media / "speech2.wav", tmp_path / "out.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(module.Job, "remove", lambda job: None)
        dub(*given, parts=fake_parts())
    given[2].write_bytes(b"another file by now")
    with pytest.raises(OutputError, match="is there already"):
        dub(*given, resume=True, parts=fake_parts())
    assert given[2].read_bytes() == b"another file by now"


def test_another_job_is_not_resumed(media, tmp_path):
    given = (media / "face.mp4", media / "speech2.wav", tmp_path / "out.mp4")
    with pytest.raises(Killed):
        dub(*given, progress=Stopping(60, Killed()), parts=fake_parts())
    for change, told in (({"mouth": 1.2}, "mouth"), ({"length": "loop"}, "length"), ({"preset": "fine"}, "preset")):
        with pytest.raises(OptionError, match=f"differs in .*{told}.* without --resume"):
            dub(*given, resume=True, parts=fake_parts(), **change)
    with pytest.raises(OptionError, match="differs in weights"):
        dub(*given, resume=True, parts=fake_parts(identity=lambda preset: {"weights": "others"}))
    with pytest.raises(OptionError, match="differs in speech"):
        dub(given[0], media / "speech1.wav", given[2], resume=True, parts=fake_parts())
    assert (tmp_path / "out.mp4.job").is_dir()
    dub(*given, parts=fake_parts(), mouth=1.2)
    assert not (tmp_path / "out.mp4.job").exists()


def left(folder, *but):
    """Files in a folder besides those named."""
    return sorted(path.name for path in folder.iterdir() if path.name not in but)


def one_line(error: KouxingError):
    return "\n" not in str(error) and str(error)


def sound_as(path, name):
    """A sound file under another file's name."""
    make_sound(path.with_name(name), 1)
    path.with_name(name).rename(path)


def mute_as(path, name):
    """A video without sound under another file's name."""
    make_video(path.with_name(name), frames=5, size=SIZE)
    path.with_name(name).rename(path)


def faceless(path):
    """A video of black pictures."""
    make_video(path, frames=20, size=SIZE, picture=black_between(SIZE, 0, 20))


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda path: None, MediaError, "no such file|does not exist"),
        (lambda path: path.write_bytes(b""), MediaError, "empty"),
        (lambda path: path.write_text("a text that claims to be a video\n" * 50), MediaError, "."),
        (lambda path: path.mkdir(), MediaError, "folder"),
        (lambda path: sound_as(path, "sound.m4a"), NoVideoError, "no picture"),
        (faceless, NoFaceError, "no face"),
    ],
    ids=["missing", "empty", "mislabelled", "folder", "sound only", "no face"],
)  # fmt: skip
def test_bad_footage_is_one_line_and_leaves_nothing(media, tmp_path, make, kind, words):
    path = tmp_path / "bad.mp4"
    make(path)
    with pytest.raises(kind, match=words) as caught:
        dub(path, media / "speech1.wav", tmp_path / "out.mp4", parts=fake_parts())
    assert one_line(caught.value) and "bad.mp4" in str(caught.value)
    assert left(tmp_path, "bad.mp4") == []


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.write_bytes(b""), MediaError),
        (lambda path: mute_as(path, "mute.mp4"), NoSoundError),
        (lambda path: make_sound(path, 0), MediaError),
    ],
    ids=["empty", "no sound", "0 s"],
)  # fmt: skip
def test_bad_speech_is_one_line_and_leaves_nothing(media, tmp_path, make, kind):
    path = tmp_path / "bad.wav"
    make(path)
    with pytest.raises(kind) as caught:
        dub(media / "face.mp4", path, tmp_path / "out.mp4", parts=fake_parts())
    assert one_line(caught.value) and "bad.wav" in str(caught.value)
    assert left(tmp_path, "bad.wav") == []


def test_a_truncated_video_gives_what_decodes_or_one_line(media, tmp_path):
    make_video(tmp_path / "whole.mkv", frames=50, size=SIZE)
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    report = dub(tmp_path / "cut.mkv", media / "speech2.wav", tmp_path / "out.mp4", parts=fake_parts())
    assert 5 < report.frames < 50
    make_video(tmp_path / "whole.mp4", frames=50, size=SIZE)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:3000])
    with pytest.raises(MediaError):
        dub(tmp_path / "cut.mp4", media / "speech2.wav", tmp_path / "out2.mp4", parts=fake_parts())
    assert not (tmp_path / "out2.mp4").exists() and not (tmp_path / "out2.mp4.job").exists()


@pytest.mark.parametrize("mouth", [1.0, "auto"])
def test_sound_that_is_none_is_told_before_the_face_is_looked_at(media, tmp_path, mouth):
    path = tmp_path / "holed.wav"
    holed = np.zeros(SAMPLE_HZ, np.float32)
    holed[9000] = np.nan
    scipy.io.wavfile.write(path, SAMPLE_HZ, holed)
    stages = []
    with pytest.raises(MediaError, match=r"damaged at 0\.56 s"):
        dub(
            media / "face.mp4", path, tmp_path / "out.mp4", parts=fake_parts(), mouth=mouth,
            progress=lambda stage, done, total: stages.append(stage),
        )  # fmt: skip
    assert "scan" not in stages and left(tmp_path) == ["holed.wav"]


def test_the_second_face_of_one_is_told(media, tmp_path):
    with pytest.raises(NoFaceError, match="no face 1"):
        dub(media / "face.mp4", media / "speech1.wav", tmp_path / "out.mp4", face_index=1, parts=fake_parts())
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mouth": -0.1}, "--mouth"),
        ({"mouth": float("nan")}, "--mouth"),
        ({"mouth": 9.0}, "--mouth"),
        ({"face_index": -1}, "--face"),
        ({"length": "long"}, "--length"),
        ({"preset": "best"}, "--preset"),
    ],
)
def test_options_out_of_range_are_told(media, tmp_path, changes, words):
    with pytest.raises(OptionError, match=words) as caught:
        dub(media / "face.mp4", media / "speech1.wav", tmp_path / "out.mp4", parts=fake_parts(), **changes)
    assert one_line(caught.value) and left(tmp_path) == []


def test_interlaced_footage_is_told(media, tmp_path):
    fields = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    make_video(tmp_path / "fields.mp4", frames=25, size=SIZE, options=fields)
    for face, told in ((tmp_path / "fields.mp4", True), (media / "face.mp4", False)):
        assert probe(face).interlaced == told
        report = dub(face, media / "speech1.wav", tmp_path / "out.mp4", overwrite=True, parts=fake_parts())
        assert any("is interlaced" in line for line in report.warnings) == told


def test_missing_weights_are_told_before_any_work(media, tmp_path):
    def none(preset):
        raise WeightError("weight card is missing: install kouxing again")

    with pytest.raises(WeightError):
        dub(media / "face.mp4", media / "speech1.wav", tmp_path / "out.mp4", parts=fake_parts(lips=none))
    assert left(tmp_path) == []


def test_outputs_that_cannot_be_are_refused_before_any_work(media, tmp_path):
    def refused(out, words, kind=OutputError, **more):
        with pytest.raises(kind, match=words) as caught:
            dub(media / "face.mp4", media / "speech1.wav", out, parts=fake_parts(), **more)
        assert one_line(caught.value)

    (tmp_path / "old.mp4").write_bytes(b"mine")
    refused(tmp_path / "old.mp4", "there already")
    refused(tmp_path / "none" / "out.mp4", "does not exist")
    refused(tmp_path / "out.avi", r"\.mp4", OptionError)
    (tmp_path / "folder.mp4").mkdir()
    refused(tmp_path / "folder.mp4", "is a folder", overwrite=True)
    refused(media / "face.mp4", "one of the inputs", overwrite=True)
    (tmp_path / "lips.mp4").write_bytes(b"the only copy")
    refused(tmp_path / "lips.mp4", "one of the inputs", overwrite=True, mouth_video=tmp_path / "lips.mp4")
    (tmp_path / "lips.mp4").unlink()
    assert (tmp_path / "old.mp4").read_bytes() == b"mine"
    assert left(tmp_path) == ["folder.mp4", "old.mp4"]
    dub(media / "face.mp4", media / "speech1.wav", tmp_path / "old.mp4", overwrite=True, parts=fake_parts())
    assert probe(tmp_path / "old.mp4").has_video


def test_a_folder_that_may_not_be_written_is_told(media, tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(OutputError, match="cannot be written"):
        dub(media / "face.mp4", media / "speech1.wav", tmp_path / "out.mp4", parts=fake_parts())
    assert left(tmp_path) == []


def test_a_full_disk_is_told_and_the_job_goes_on_later(media, tmp_path, whole, monkeypatch):
    out = tmp_path / "out.mp4"
    given = (media / "face.mp4", media / "speech3.wav", out)
    write, room = module.VideoWriter.write, [40]

    def full(self, frame):
        room[0] -= 1
        if room[0] < 0:
            raise OutputError(f"{self.path} cannot be written: the disk is full; free some space")
        write(self, frame)

    monkeypatch.setattr(module.VideoWriter, "write", full)
    with pytest.raises(OutputError, match=r"disk is full.*--resume") as caught:
        dub(*given, length="loop", parts=fake_parts())
    assert one_line(caught.value) and not out.exists()
    monkeypatch.setattr(module.VideoWriter, "write", write)
    dub(*given, length="loop", resume=True, parts=fake_parts())
    assert same_pictures(frames_of(out), whole)


def test_a_fault_in_the_program_is_not_hidden_and_the_job_stays(media, tmp_path):
    def broken(*given):
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        dub(media / "face.mp4", media / "speech1.wav", tmp_path / "out.mp4", parts=fake_parts(paste=broken))
    assert left(tmp_path) == ["out.mp4.job"]


def test_silent_speech_keeps_the_mouth_closed(media, tmp_path):
    make_sound(tmp_path / "quiet.wav", 1, kind="silence")
    lips = FlatLips()
    report = dub(
        media / "face.mp4", tmp_path / "quiet.wav", tmp_path / "out.mp4", parts=fake_parts(lips=lambda preset: lips)
    )
    assert lips.windows and not any(window.any() for window in lips.windows)
    assert any("no speech is heard" in line for line in report.warnings)


def test_long_footage_is_looked_at_only_as_far_as_needed(media, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SCANNED_S", Fraction(1, 2))
    pushed = []

    class Counted(FixedTracker):
        def push(self, image):
            pushed.append(image.pts)
            return super().push(image)

    dub(
        media / "face.mp4",
        media / "speech1.wav",
        tmp_path / "out.mp4",
        length="speech",
        parts=fake_parts(tracker=Counted),
    )
    assert len(pushed) == 26


def test_parts_double_is_what_the_pipeline_asks_for():
    parts = fake_parts()
    assert isinstance(parts.tracker(0), scan_module.Resumable) and isinstance(parts.speech(), Loudness)
    assert parts.paste is fake_paste


def test_auto_opens_quiet_speech_and_tells_how_far(media, tmp_path):
    loud = load_sound(media / "speech2.wav", 16_000).samples
    import av

    def write(path, samples):
        with av.open(str(path), "w") as out:
            stream = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], "s16", "mono")
            frame.rate = 16_000
            out.mux(stream.encode(frame) + stream.encode(None))

    write(tmp_path / "quiet.wav", loud * 0.01)
    tones = {}
    for name, mouth in (("one", 1.0), ("auto", "auto")):
        lips = FlatLips()
        parts = fake_parts(lips=lambda preset, lips=lips: lips)
        out = tmp_path / f"{name}.mp4"
        report = dub(media / "face.mp4", tmp_path / "quiet.wav", out, mouth=mouth, parts=parts)
        tones[name] = max(float(window[5, 0]) for window in lips.windows)
        assert report.mouth == mouth and (report.opening == 1.0) == (mouth == 1.0)
    # ``Loudness`` follows the sound: raised to ordinary speech it says more.
    assert tones["auto"] > 1.5 * tones["one"]
    with pytest.raises(OptionError, match="or auto"):
        dub(media / "face.mp4", tmp_path / "quiet.wav", tmp_path / "x.mp4", mouth="wide", parts=fake_parts())


def test_a_manner_that_is_left_out_is_told(media, tmp_path, monkeypatch):
    features = np.zeros((25, 16), np.float32)
    words = Speech(features, np.zeros(25, bool), Fraction(1))
    monkeypatch.setattr(module.multimodal_dub, "listen", lambda *given: (words, ()))
    monkeypatch.setattr(module.multimodal_dub, "plan_of", lambda given: {})
    told = []
    for number, voice in enumerate(("own", "other")):
        report = dub(
            media / "face.mp4", media / "speech1.wav", tmp_path / f"{number}.mp4", person=media / "face.mp4",
            voice=voice, text="bin blue", parts=fake_parts(),
        )  # fmt: skip
        told.append(any("its manner of speaking is left out" in line for line in report.warnings))
    assert told == [True, False]
