"""``prepare`` from a folder of all kinds of files to a data set that training reads, stopped and taken up anywhere."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face.people import anna, bert, put, wall
from fake_media import best_shift, make_picture, make_sound, make_video, wave
from kouxing.cli import app as cli
from kouxing.data.footage import prepare_clip
from kouxing.data.manifest import read_manifest
from kouxing.data.tracks import read_track, stored_track
from kouxing.errors import DataError, KouxingError, MediaError, OptionError, OutputError
from kouxing.face.track import track_video
from kouxing.infer.prepare import agree, plan, run
from kouxing.infer.prepare.crew import Crew
from kouxing.infer.prepare.plan import Settings
from kouxing.infer.prepare.run import prepare
from kouxing.media.reader import load_sound, probe, read_video

SIZE = (480, 270)
RESULTS = ("manifest.csv", "rejects.csv", "statistics.json", "sheet.png", "prepare/*.csv", "clips/*", "tracks/*")


def scene(person: Any, zoom: float = 1.0) -> Any:
    def picture(number: int) -> np.ndarray:
        image = wall(0, *SIZE)
        put(image, person, 240 + 0.4 * number, 135, zoom)
        return image

    return picture


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people who speak, one in 30 fps and after a cut; and files that cannot be used."""
    folder = tmp_path_factory.mktemp("footage")
    (folder / "people").mkdir()
    first, second = scene(anna()), scene(bert())
    make_video(
        folder / "people" / "Anna Ä.mp4", frames=90, size=SIZE, sound_rate=44100, kind="speechlike",
        picture=lambda n: wall(5, *SIZE) if n < 20 else first(n),
    )  # fmt: skip
    make_video(
        folder / "people" / "bert.mkv", frames=75, size=SIZE, rate=30, sound_rate=16000, kind="speechlike",
        picture=second,
    )  # fmt: skip
    shutil.copy(folder / "people" / "bert.mkv", folder / "twin.mkv")
    make_video(folder / "mute.mp4", frames=3, size=SIZE, picture=first)
    make_video(
        folder / "silent.mp4", frames=55, size=SIZE, sound_rate=16000, kind="silence", picture=lambda _: first(0)
    )
    make_sound(folder / "only.mkv", 0.5)
    (folder / "broken.mp4").write_bytes(b"not a video at all")
    (folder / ".hidden.mp4").write_bytes(b"not seen")
    make_picture(folder / "photo.png")
    return folder


def results(out: Path) -> dict[str, bytes]:
    return {str(one.relative_to(out)): one.read_bytes() for name in RESULTS for one in sorted(out.glob(name))}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


OPTIONS: dict[str, Any] = {"sync": False, "jobs": 0, "split": "1/1/1"}


@pytest.fixture(scope="module")
def made(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set, made in one go."""
    out = tmp_path_factory.mktemp("made") / "set"
    told: list[tuple[str, int, int | None]] = []
    report = prepare([footage], out, **OPTIONS, progress=lambda *one: told.append(one))
    assert report.files == 3 and report.clips == 2 and report.speed_x is not None
    assert report.warnings and all("--split" in note for note in report.warnings)
    assert {stage for stage, _, _ in told} == {"files", "faces", "cut"}
    assert all(done <= (total or 0) for _, done, total in told)
    return out


def test_every_file_is_a_clip_or_a_reject(made: Path, footage: Path) -> None:
    rows = rows_of(made / "manifest.csv")
    assert [(row["source"].split("/", 1)[1], float(row["start_s"]), float(row["seconds"])) for row in rows] == [
        ("people/Anna Ä.mp4", 0.8, 2.8),
        ("people/bert.mkv", 0.0, 2.52),
    ]
    assert rows[0]["speaker"].startswith("unknown-anna-") and rows[0]["language"] == "und"
    assert {row["licence"] for row in rows} == {"unknown"}
    refused = {row["source"].split("/", 1)[1]: (row["step"], row["reason"]) for row in rows_of(made / "rejects.csv")}
    assert refused == {
        "people/Anna Ä.mp4": ("faces", "no face"),
        "twin.mkv": ("media", "the same file"),
        "mute.mp4": ("media", "no sound"),
        "silent.mp4": ("pieces", "nobody speaks"),
        "only.mkv": ("media", "no picture"),
        "broken.mp4": ("media", "unreadable"),
    }
    told = json.loads((made / "statistics.json").read_text())
    assert told["clips"] == 2 and told["seconds"] == pytest.approx(5.32)
    assert told["rejects"]["faces: no face"] == {"parts": 1, "seconds": 0.8}
    assert (made / "sheet.png").stat().st_size > 10_000
    # What only the work needed is gone.
    assert not list((made / "prepare" / "sound").iterdir()) and not list((made / "prepare" / "faces").glob("*.npz"))


def test_clips_show_the_face_and_tracks_fit_them(made: Path) -> None:
    for clip in read_manifest(made):
        path = made / "clips" / f"{clip.id}.mp4"
        info = probe(path)
        track = read_track(made, clip)
        assert info.rate == 25 and info.width == info.height and info.sound_rate_hz == 16000
        assert len(track) == round(25 * clip.seconds) and track.found.all()
        again = track_video(read_video(path))
        assert len(again) == len(track)
        assert np.abs(again.lips - track.lips)[again.found].mean() < 0.5
        with np.load(made / "tracks" / f"{clip.id}.npz", allow_pickle=False) as file:
            assert file["blendshapes"].shape == (len(track), 51) and file["pose"].shape == (len(track), 3, 4)
            pose = file["pose"].astype(np.float32)
        np.testing.assert_allclose(
            pose[:, :, :3] @ pose[:, :, :3].transpose(0, 2, 1), [np.eye(3)] * len(track), atol=0.01
        )
        assert (pose[:, 2, 2] > 0.8).all() and (pose[:, 2, 3] < -5).all()


def test_sound_and_picture_stay_together(made: Path) -> None:
    clip = read_manifest(made)[0]
    samples = load_sound(made / "clips" / f"{clip.id}.mp4").samples
    whole = wave("speechlike", 3.6, 16000)
    assert abs(best_shift(samples, whole[round(0.8 * 16000) :][: len(samples)])) <= 16
    assert abs(len(samples) - 2.8 * 16000) <= 1


def test_training_reads_it(made: Path) -> None:
    for clip in read_manifest(made):
        assert stored_track(made, clip) is not None
        ready = prepare_clip(made, clip)
        assert "rejected" not in ready and ready["found"].all() and not ready["silent"].all()


class Killed(BaseException):
    """As good as SIGKILL for what is on the disk: nothing after it is done."""


def stopped(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crew stops the process after so many tasks, before the last one's result is kept."""
    left = [after]

    def each(self: Crew, work: Any, tasks: Any) -> Iterator[Any]:
        for one in Crew._each_whole(self, work, tasks):  # type: ignore[attr-defined]
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            yield one

    monkeypatch.setattr(Crew, "_each_whole", Crew.each, raising=False)
    monkeypatch.setattr(Crew, "each", each)


@pytest.mark.parametrize("after", [1, 6, 8, 9, 10])
def test_stopped_anywhere_it_goes_on_to_the_same(
    after: int, made: Path, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    with monkeypatch.context() as patch:
        stopped(after, patch)
        with pytest.raises(Killed):
            prepare([footage], out, **OPTIONS)
    assert not (out / "manifest.csv").exists()
    (out / "clips" / "left.part.mp4").write_bytes(b"half")
    prepare([footage], out, **OPTIONS)
    assert results(out) == results(made)


@pytest.mark.parametrize("name", ["rejects.csv", "statistics.json", "sheet.png", "manifest.csv"])
def test_stopped_at_the_end(
    name: str, made: Path, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    shutil.copytree(made, out)
    (out / name).unlink()
    report = prepare([footage], out, **OPTIONS)
    assert results(out) == results(made) and report.speed_x is None


@pytest.mark.parametrize("step", ["faces", "cut"])
def test_what_failed_is_tried_again(step: str, made: Path, footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    shutil.copytree(made, out)
    for mark in (out / "prepare" / step).glob("bert-*.json"):
        mark.write_text('{"failed": "the process that read it died 2 times (signal 9)"}')
    prepare([footage], out, **OPTIONS)
    assert results(out) == results(made)


def test_an_offset_that_failed_is_tried_again(
    made: Path, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    shutil.copytree(made, out)
    monkeypatch.setattr(agree, "judge", lambda task: {}["a fault"])
    with pytest.raises(DataError, match="not one clip came out"):
        prepare([footage], out, **{**OPTIONS, "sync": True})
    told = {"offset_frames": 0.5, "confidence": 2.0, "distance": 1.0, "probability": 0.9}
    monkeypatch.setattr(agree, "judge", lambda task: {"clips": [{"id": name, **told} for name in task.names]})
    prepare([footage], out, **{**OPTIONS, "sync": True})
    assert [row["offset_frames"] for row in rows_of(out / "manifest.csv")] == ["0.5", "0.5"]
    assert not [row for row in rows_of(out / "rejects.csv") if row["step"] == "sync"]


def test_done_work_is_not_done_again_and_lost_clips_are(made: Path, footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    shutil.copytree(made, out)
    clip = next((out / "clips").iterdir())
    others = {one: one.stat().st_mtime_ns for one in (out / "clips").iterdir() if one != clip}
    clip.unlink()
    prepare([footage], out, **OPTIONS)
    assert results(out) == results(made)
    assert {one: one.stat().st_mtime_ns for one in others} == others


def test_changed_footage_that_is_changed_back_has_its_own_clips(footage: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "footage", tmp_path / "set"
    folder.mkdir()
    first, second = tmp_path / "anna.mp4", footage / "people" / "bert.mkv"
    make_video(first, frames=51, size=SIZE, sound_rate=16000, kind="speechlike", picture=scene(anna(), 0.8))
    seen = []
    for one, other in ((first, second), (second, first), (first, second)):
        shutil.copy(one, folder / "one.mp4")
        shutil.copy(other, folder / "other.mp4")
        prepare([folder], out, **OPTIONS)
        rows = rows_of(out / "manifest.csv")
        clips = [(out / "clips" / f"{row['id']}.mp4").read_bytes() for row in rows]
        seen.append(((out / "manifest.csv").read_bytes(), clips, {row["source"]: row["split"] for row in rows}))
    assert len(seen[0][1]) == 2 and seen[2] == seen[0] and sorted(seen[1][1]) == sorted(seen[0][1])
    # Content moves nobody to another split.
    assert seen[1][2] == seen[0][2]


def test_a_script_without_a_guard_is_told_of_it_and_no_footage_is_blamed(footage: Path, tmp_path: Path) -> None:
    script, source = tmp_path / "script.py", Path(__file__).parents[3] / "src"
    one = footage / "people" / "bert.mkv"
    script.write_text(f"import kouxing\nkouxing.prepare({str(one)!r}, {str(tmp_path / 'set')!r}, sync=False, jobs=1)\n")
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1 and '`if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
    assert not list((tmp_path / "set").rglob("rejects.csv"))


@pytest.mark.skipif(sys.platform != "linux", reason="only here are file names any bytes")
def test_names_that_are_not_utf_8_stop_nothing(footage: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / os.fsdecode(b"\xe9"), tmp_path / os.fsdecode(b"set \xe9")
    folder.mkdir()
    shutil.copy(footage / "people" / "bert.mkv", folder / os.fsdecode(b"caf\xe9.mkv"))
    (folder / os.fsdecode(b"broken\xe9.mp4")).write_bytes(b"not a video at all")
    assert prepare([folder], out, **OPTIONS).clips == 1
    assert [row["source"] for row in rows_of(out / "manifest.csv")] == [r"\udce9/caf\udce9.mkv"]
    assert [row["source"] for row in rows_of(out / "rejects.csv")] == [r"\udce9/broken\udce9.mp4"]
    assert len(read_manifest(out)) == 1


def test_more_footage_is_added(made: Path, footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    shutil.copytree(made, out)
    more = tmp_path / "more.mp4"
    make_video(more, frames=51, size=SIZE, sound_rate=16000, kind="speechlike", picture=scene(anna(), 0.8))
    info = tmp_path / "info.csv"
    info.write_text(f"file,speaker,split,licence\n{more},Anna,test,open\nlost.mp4,Al,val,open\n", "utf-8")
    report = prepare([footage, more], out, **OPTIONS, info=info, language="en")
    assert report.clips == 3
    assert "--info tells of 1 files that are not among the footage, e.g. lost.mp4" in report.warnings
    rows = {row["source"]: row for row in rows_of(out / "manifest.csv")}
    assert (rows["more.mp4"]["speaker"], rows["more.mp4"]["split"], rows["more.mp4"]["licence"]) == (
        "Anna",
        "test",
        "open",
    )
    assert {row["language"] for row in rows.values()} == {"en"}
    before = {row["source"]: row["split"] for row in rows_of(made / "manifest.csv")}
    assert {name: rows[name]["split"] for name in before} == before
    assert not any("were made of" in line or "was made of" in line for line in report.warnings)
    alone = prepare([more], out, **OPTIONS)
    assert alone.clips == 1
    assert any(
        line.startswith(f"2 files that {out} was made of are not among the footage now") for line in alone.warnings
    )


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_with_its_processes(made: Path, footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    words = [sys.executable, "-m", "kouxing", "prepare", str(footage), "-o", str(out), "--no-sync", "--jobs", "1"]
    words += ["--split", "1/1/1"]
    paths = os.pathsep.join([str(Path(__file__).parents[3] / "src"), os.environ.get("PYTHONPATH", "")])
    running = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 90
        while not list(out.glob("prepare/faces/*.json")) and running.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert not (out / "manifest.csv").exists()
    prepare([footage], out, **OPTIONS)
    assert results(out) == results(made)


def test_mistakes_are_one_line_and_exit_2(
    made: Path, footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, mine, text = tmp_path / "empty", tmp_path / "mine", tmp_path / "text.txt"
    empty.mkdir()
    mine.mkdir()
    (mine / "letter.txt").write_text("mine")
    text.write_text("no folder")
    two = tmp_path / "two.csv"
    two.write_text("file,speaker,split\nAnna Ä.mp4,A,train\nbert.mkv,A,val\n", "utf-8")
    new = tmp_path / "new"
    cases: list[tuple[list[str], type[KouxingError], str]] = [
        ([str(empty), "-o", str(new)], MediaError, "holds no video"),
        ([str(tmp_path / "none"), "-o", str(new)], MediaError, "does not exist"),
        ([str(footage), "-o", str(mine)], OutputError, "is not empty"),
        ([str(footage), "-o", str(text)], OutputError, "is a file"),
        ([str(footage), "-o", str(text / "deep")], OutputError, "cannot be written"),
        ([str(footage), "-o", str(made), "--face-px", "80"], OptionError, "other settings (face_px 64.0, not 80.0)"),
        ([str(footage), "-o", str(new), "--split", "1/1"], OptionError, "--split"),
        ([str(footage), "-o", str(new), "--seconds", "0.2"], OptionError, "--seconds"),
        ([str(footage), "-o", str(new), "--least", "9"], OptionError, "--least"),
        ([str(footage), "-o", str(new), "--info", str(tmp_path / "no.csv")], DataError, "--info"),
        ([str(footage), "-o", str(new), "--landmarker", str(text)], OptionError, "--landmarker"),
        ([str(footage), "-o", str(made), "--info", str(two)], DataError, "in two splits"),
    ]
    for words, _, part in cases:
        capsys.readouterr()
        assert cli.run(["prepare", *words, "--no-sync", "--jobs", "0"]) == 2, words
        lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert len(lines) == 1 and part in lines[0], (words, lines)
    assert not new.exists() and [one.name for one in mine.iterdir()] == ["letter.txt"]


def test_nothing_usable_says_why(footage: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not one clip came out \(mostly media: no sound\)"):
        prepare([footage / "mute.mp4"], tmp_path / "set", **OPTIONS)
    assert rows_of(tmp_path / "set" / "rejects.csv")[0]["reason"] == "no sound"
    assert not (tmp_path / "set" / "manifest.csv").exists()


def test_no_weights_says_how_to_go_on(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SYNC_WEIGHTS", ("no_such_weights",))
    with pytest.raises(KouxingError, match="--no-sync"):
        prepare([footage], tmp_path / "set", jobs=0)
    assert not (tmp_path / "set").exists()


def test_a_data_set_among_its_footage_is_not_footage(made: Path, footage: Path, tmp_path: Path) -> None:
    place = tmp_path / footage.name
    shutil.copytree(footage, place)
    shutil.copytree(made, place / "set")
    prepare([place], place / "set", **OPTIONS)
    assert (place / "set" / "manifest.csv").read_bytes() == (made / "manifest.csv").read_bytes()


def test_settings_are_checked() -> None:
    assert Settings().clip_frames == 125 and plan.CHUNK_S % Settings().clip_s == 0
    for change in ({"clip_s": 100}, {"least_s": 0.1}, {"face_px": -1}, {"turn_deg": float("nan")}, {"detail": 2}):
        with pytest.raises(OptionError):
            Settings(**change)  # type: ignore[arg-type]
