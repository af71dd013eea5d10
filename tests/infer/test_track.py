"""`track` from a video file to a take: times, gaps, and every way it can fail."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from face.people import anna, put, wall
from fake_media import make_sound, make_video
from kouxing.arkit import PLACE
from kouxing.cli import app as cli
from kouxing.errors import KouxingError, MediaError, NoFaceError, NoVideoError, OptionError, OutputError
from kouxing.export.files import read
from kouxing.infer import track as module
from kouxing.infer.track import coefficients, track
from shared import SHARED, needs_shared

FRAMES = 24
HIDDEN = range(10, 14)


def scene(number: int) -> np.ndarray:
    """Anna sways; for four frames she is not there."""
    image = wall()
    put(image, anna(), 320 + 2 * number, 180)
    return image * 0 if number in HIDDEN else image


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("track") / "anna.mp4"
    make_video(path, frames=FRAMES, size=(640, 360), picture=scene)
    return path


def test_rows_come_60_a_second_and_gaps_are_bridged(video: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    out = tmp_path / "take.csv"
    made = track(video, out, progress=lambda *one: told.append(one))
    assert (made.frames, made.found_frames, made.method) == (FRAMES, FRAMES - len(HIDDEN), "kouxing")
    assert made.rows == int(Fraction(FRAMES - 1, 25) * 60) + 1 and made.seconds == pytest.approx((FRAMES - 1) / 25)
    assert len(made.warnings) == 1 and "4 of 24" in made.warnings[0]
    assert told[0][:2] == ("track", 1) and told[-1] == ("track", FRAMES, FRAMES)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == made.rows and rows[0]["Timecode"] == "00:00:00:00.000"
    assert rows[-1]["Timecode"] == f"00:00:00:{made.rows - 1:02}.000"
    back = read(out)
    assert back.column("mouthSmileLeft").mean() > 0.3
    assert [one.name for one in tmp_path.iterdir()] == ["take.csv"]


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [Fraction(n, 25) for n in (0, 1, 2, 6, 7, 20)]
    path = tmp_path / "uneven.mkv"
    make_video(path, frames=6, size=(640, 360), times=times, picture=lambda _: scene(0))
    seen = coefficients(path)
    assert [round(float(seen.track.time(row)), 2) for row in range(6)] == [float(time) for time in times]
    assert len(seen.track.at()) == 49


def test_chunks_do_not_show(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = coefficients(video)
    monkeypatch.setattr(module, "CHUNK", 3)
    parts = coefficients(video)
    np.testing.assert_allclose(parts.track.values, whole.track.values, atol=1e-5)
    np.testing.assert_allclose(parts.track.rotations, whole.track.rotations, atol=1e-5)
    assert whole.calibration is not None and coefficients(video, calibrate=False).calibration is None


def test_a_photo_is_one_row(tmp_path: Path) -> None:
    photo = tmp_path / "anna.png"
    cv2.imwrite(str(photo), cv2.cvtColor(scene(0), cv2.COLOR_RGB2BGR))
    made = track(photo, tmp_path / "anna.json")
    assert (made.rows, made.frames, made.seconds) == (1, 1, 0)


@needs_shared
def test_mediapipes_file_gives_the_same_smile(video: Path, tmp_path: Path) -> None:
    task = SHARED / "models" / "face_landmarker.task"
    made = track(video, tmp_path / "a.json", landmarker=task, calibrate=False)
    assert made.method == "mediapipe" and made.found_frames == FRAMES - len(HIDDEN)
    own = coefficients(video, calibrate=False).track
    smile = read(tmp_path / "a.json").column("mouthSmileLeft").mean()
    assert smile == pytest.approx(own.values[:, PLACE["mouthSmileLeft"]].mean(), abs=0.2)


def test_mistakes_are_one_line_exit_2_and_leave_nothing(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody, sound, text, there = (tmp_path / name for name in ("nobody.mp4", "s.wav", "t.mp4", "there.csv"))
    make_video(nobody, frames=3, size=(320, 180), picture=lambda _: wall(0, 320, 180))
    make_sound(sound, 0.5)
    text.write_text("no video")
    there.write_text("mine")
    before = sorted(tmp_path.iterdir())
    cases: list[tuple[Path, Path, dict, type[KouxingError]]] = [
        (nobody, tmp_path / "a.csv", {}, NoFaceError),
        (video, tmp_path / "a.csv", {"face_index": 1}, NoFaceError),
        (video, tmp_path / "a.csv", {"face_index": -1}, OptionError),
        (sound, tmp_path / "a.csv", {}, NoVideoError),
        (text, tmp_path / "a.csv", {}, MediaError),
        (tmp_path / "none.mp4", tmp_path / "a.csv", {}, MediaError),
        (video, tmp_path / "a.fbx", {}, OptionError),
        (video, tmp_path / "no" / "a.csv", {}, OutputError),
        (video, there, {}, OutputError),
        (video, tmp_path / "a.csv", {"landmarker": text}, OptionError),
    ]
    for source, out, options, kind in cases:
        with pytest.raises(kind) as caught:
            track(source, out, **options)
        assert "\n" not in str(caught.value)
        words = ["track", str(source), "-o", str(out)]
        for name, value in options.items():
            words += [f"--{'face' if name == 'face_index' else name}", str(value)]
        capsys.readouterr()
        assert cli.run(words) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert len(lines) == 1
    assert sorted(tmp_path.iterdir()) == before and there.read_text() == "mine"


def test_the_command(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "take.json"
    out.write_text("old")
    assert cli.run(["track", str(video), "-o", str(out), "--force", "--raw", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["out"] == str(out) and told["rows"] == 56 and told["method"] == "kouxing"
    assert len(json.loads(out.read_text())["frames"]) == 56
