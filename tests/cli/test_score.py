"""``kouxing score`` from the outside: what is printed, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kouxing.cli.app import run
from kouxing.infer import score_look
from sync_world import Brightness, Two, talk


@pytest.fixture(autouse=True)
def known_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracker and judge of the fake world, in the place where the shipped ones are made."""
    monkeypatch.setattr(score_look, "FaceTracker", Two)
    monkeypatch.setattr(score_look, "Discriminator", lambda threads: Brightness())


def test_lines_for_people_and_json_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video, out = tmp_path / "a.mp4", tmp_path / "b.mp4"
    talk(video, 3, 5)
    assert run(["score", str(video), "--fix", str(out), "--plot", str(tmp_path / "a.png")]) == 0
    text = capsys.readouterr().out
    assert "verdict: sound late" in text
    assert "offset: +200 ms" in text or "offset: +201 ms" in text or "offset: +199 ms" in text
    assert f"fixed: {out} (sound moved by -" in text
    assert out.exists() and (tmp_path / "a.png").exists()
    assert run(["score", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert captured.err == ""
    assert told["verdict"] == "in step"
    assert len(told["faces"]) == 2
    assert told["stretches"][0]["start_s"] == 0


def test_mistakes_end_with_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mute = tmp_path / "mute.mp4"
    talk(mute, 1, sound=False)
    for words in (
        [str(mute)],
        [str(tmp_path / "none.mp4")],
        [str(mute), str(mute), "--fix", str(tmp_path / "x.mp4")],
        [str(tmp_path), "--plot", str(tmp_path / "x.png")],
        [str(mute), "--face", "-1"],
        [str(tmp_path), "--results", str(tmp_path / "r.csv")],
    ):
        assert run(["score", *words]) == 2
        error = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert len(error) == 1


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    talk(tmp_path / "in" / "a.mp4", 2.5, 4)
    monkeypatch.chdir(tmp_path)
    assert run(["score", "in", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["late"] == 1
    assert json.loads((tmp_path / "kouxing-scores.jsonl").read_text())["verdict"] == "sound late"
    assert run(["score", "in"]) == 0
    assert "earlier: 1" in capsys.readouterr().out
