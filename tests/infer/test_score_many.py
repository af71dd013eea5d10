"""Many videos: one line each, safely written, never looked at twice."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from kouxing.errors import MediaError, OptionError, OutputError
from kouxing.infer import score_many as module
from kouxing.infer.score_look import Parts
from kouxing.infer.score_many import list_videos, score_many
from kouxing.media.aside import alone
from sync_world import Brightness, Place, talk


class Counting:
    """Trackers, and how many were made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, follow: int) -> Place:
        self.made += 1
        return Place(follow)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("videos")
    (place / "deep").mkdir()
    talk(place / "a.mp4", 2.5, 3)
    talk(place / "b.mkv", 2.5, 0)
    talk(place / "deep" / "c.mp4", 2.5, -4)
    talk(place / "deep" / "mute.mp4", 1, sound=False)
    (place / "notes.txt").write_text("no video")
    (place / "torn.mp4").write_bytes(b"no video either")
    return place


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_folder(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    counting = Counting()
    told = score_many(
        [folder], tmp_path / "r.jsonl", parts=Parts(counting, Brightness()), progress=lambda *a: seen.append(a)
    )
    assert (told.videos, told.earlier, told.in_step, told.late, told.early, told.refused) == (5, 0, 1, 1, 1, 2)
    assert seen[-1] == ("score", 5, 5)
    rows = {Path(row["video"]).name: row for row in lines(tmp_path / "r.jsonl")}
    assert rows["a.mp4"]["offset_frames"] == pytest.approx(3, abs=0.2)
    assert rows["c.mp4"]["verdict"] == "sound early"
    assert "no sound" in rows["mute.mp4"]["refused"]
    assert "torn.mp4" in rows["torn.mp4"]["refused"]
    again = score_many([folder], tmp_path / "r.jsonl", parts=Parts(counting, Brightness()))
    assert (again.earlier, again.late, again.refused) == (5, 1, 2)
    assert counting.made == 3
    assert len(lines(tmp_path / "r.jsonl")) == 5


@pytest.mark.parametrize("torn", [b"", b'{"video": "/somewh'])
def test_a_killed_job_goes_on(folder: Path, tmp_path: Path, torn: bytes) -> None:
    """Stopped between two videos, or in the middle of a line."""
    whole, goal = tmp_path / "whole.jsonl", tmp_path / "r.jsonl"
    score_many([folder], whole, parts=Parts(Place, Brightness()))

    def stop(stage: str, done: int, total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_many([folder], goal, parts=Parts(Place, Brightness()), progress=stop)
    with goal.open("ab") as file:
        file.write(torn)
    told = score_many([folder], goal, parts=Parts(Place, Brightness()))
    assert told.earlier == 2
    assert goal.read_bytes() == whole.read_bytes()


def test_what_changed_is_looked_at_again(folder: Path, tmp_path: Path) -> None:
    video, goal = tmp_path / "v.mp4", tmp_path / "r.jsonl"
    parts = Parts(Place, Brightness())
    talk(video, 2.5, 3)
    assert score_many([video], goal, parts=parts).late == 1
    talk(video, 2.5, -3)
    told = score_many([video], goal, parts=parts)
    assert (told.earlier, told.early) == (0, 1)
    assert score_many([video], goal, face=0, parts=parts).earlier == 0
    assert score_many([video], goal, parts=parts).earlier == 1


def test_files_without_rights_and_other_weights_are_looked_at_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal, parts, real = tmp_path / "r.jsonl", Parts(Place, Brightness()), module.score

    def closed(video: Path, **told: Any) -> Any:
        raise MediaError(f"{video} cannot be read: permission denied") from PermissionError(13, "denied")

    monkeypatch.setattr(module, "score", closed)
    assert score_many([folder / "a.mp4"], goal, parts=parts).refused == 1
    monkeypatch.setattr(module, "score", real)
    assert (told := score_many([folder / "a.mp4"], goal, parts=parts)).late == 1 and told.earlier == 0
    assert score_many([folder / "a.mp4"], goal, parts=parts).earlier == 1
    monkeypatch.setattr(module, "_weights", lambda: "others")
    assert score_many([folder / "a.mp4"], goal, parts=parts).earlier == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only here are file names any bytes")
def test_a_name_that_is_not_utf_8_stops_nothing(folder: Path, tmp_path: Path) -> None:
    odd, goal, parts = tmp_path / os.fsdecode(b"caf\xe9.mp4"), tmp_path / "r.jsonl", Parts(Place, Brightness())
    shutil.copy(folder / "a.mp4", odd)
    shutil.copy(folder / "b.mkv", tmp_path / "später.mkv")
    assert score_many([tmp_path], goal, parts=parts).late == 1
    assert [row["video"] for row in lines(goal)] == [str(odd), str(tmp_path / "später.mkv")]
    assert "später" in goal.read_text("utf-8")
    assert score_many([tmp_path], goal, parts=parts).earlier == 2


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    parts = Parts(Place, Brightness())
    with pytest.raises(MediaError, match="does not exist"):
        score_many([folder / "none.mp4"], tmp_path / "r.jsonl", parts=parts)
    with pytest.raises(OptionError, match="no video"):
        score_many([tmp_path], tmp_path / "r.jsonl", parts=parts)
    with pytest.raises(OutputError, match="make it first"):
        score_many([folder], tmp_path / "no" / "r.jsonl", parts=parts)
    with pytest.raises(OptionError, match="counted from 0"):
        score_many([folder], tmp_path / "r.jsonl", face=-1, parts=parts)
    for content in ("one,two\n1,2\n", "no line at all", '{"some": "json"}\n', '{"some": "json"}'):
        (tmp_path / "other").write_text(content)
        with pytest.raises(OptionError, match="--results"):
            score_many([folder], tmp_path / "other", parts=parts)
        assert (tmp_path / "other").read_text() == content
    with alone(tmp_path / "r.jsonl"), pytest.raises(OutputError, match="another job"):
        score_many([folder], tmp_path / "r.jsonl", parts=parts)


def test_each_video_once(folder: Path) -> None:
    found = list_videos([folder / "a.mp4", folder, folder / "deep"])
    assert [path.name for path in found] == ["a.mp4", "b.mkv", "c.mp4", "mute.mp4", "torn.mp4"]
