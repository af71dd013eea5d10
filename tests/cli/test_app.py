"""How the command line fails and what it prints; the dub itself is replaced where only the wiring is looked at."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.table import Table

import kouxing
from kouxing.cli import app as cli
from kouxing.cli import evaluate, output
from kouxing.cli.progress import Lines, clock_text
from kouxing.errors import NoFaceError, OutputError
from kouxing.eval import figures


@dataclass
class Made:
    out: Path
    seconds: Fraction
    fps: float
    warnings: tuple[str, ...] = ("the face is small",)


class Dub:
    """Stands in for ``infer.dub.dub``: keeps what it was asked, then reports or fails as told."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.failure: BaseException | None = None

    def __call__(self, face: Path, speech: Path, out: Path, **options: Any) -> Made:
        self.asked = {"face": face, "speech": speech, "out": out, **options}
        if self.failure is not None:
            raise self.failure
        if options["progress"] is not None:
            options["progress"]("paint", 1, 2)
        return Made(out, Fraction(3, 2), 31.0)


@pytest.fixture
def dub(monkeypatch: pytest.MonkeyPatch) -> Dub:
    stand_in = Dub()
    module = ModuleType("kouxing.infer.dub")
    module.dub = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kouxing.infer.dub", module)
    return stand_in


def words(folder: Path, *more: str) -> list[str]:
    return ["dub", "face.mp4", "voice.wav", "-o", str(folder / "out.mp4"), *more]


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr()
    lines = found.err.splitlines()
    assert len(lines) == 1, found.err
    assert not found.out
    return lines[0]


def test_names_that_are_not_utf_8_are_printed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    made = Made(Path("caf\udce9 ä.mp4"), Fraction(3, 2), 31.0)
    output.print_report(made, as_json=False)
    assert "out: caf\\udce9 ä.mp4" in capfdbinary.readouterr().out.decode().splitlines()
    output.print_report(made, as_json=True)
    assert json.loads(capfdbinary.readouterr().out)["out"] == str(made.out)


def test_options_reach_the_library(tmp_path: Path, dub: Dub) -> None:
    more = ["--mouth", "1.4", "--face", "2", "--length", "loop", "--preset", "fine", "--resume"]
    assert cli.run(words(tmp_path, *more)) == 0
    told = {key: dub.asked[key] for key in ("mouth", "face_index", "length", "preset", "resume")}
    assert told == {"mouth": 1.4, "face_index": 2, "length": "loop", "preset": "fine", "resume": True}
    assert dub.asked["face"] == Path("face.mp4") and dub.asked["out"] == tmp_path / "out.mp4"


def test_json_is_the_only_output(tmp_path: Path, dub: Dub, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(words(tmp_path, "--json")) == 0
    found = capsys.readouterr()
    assert json.loads(found.out) == {
        "out": str(tmp_path / "out.mp4"),
        "seconds": 1.5,
        "fps": 31.0,
        "warnings": ["the face is small"],
    }
    assert not found.err
    assert dub.asked["progress"] is None


def test_people_get_lines(tmp_path: Path, dub: Dub, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(words(tmp_path)) == 0
    found = capsys.readouterr()
    assert "seconds: 1.5" in found.out.splitlines()
    assert found.err.splitlines() == ["kouxing: paint: 1/2", "kouxing: note: the face is small"]


def test_a_mistake_is_one_line_and_exit_2(tmp_path: Path, dub: Dub, capsys: pytest.CaptureFixture[str]) -> None:
    dub.failure = NoFaceError("face.mp4: no face found; give a picture\nof a face")
    assert cli.run(words(tmp_path)) == 2
    assert only_line(capsys) == "kouxing: error: face.mp4: no face found; give a picture of a face"


def test_ctrl_c_tells_how_to_go_on(tmp_path: Path, dub: Dub, capsys: pytest.CaptureFixture[str]) -> None:
    dub.failure = KeyboardInterrupt()
    assert cli.run(words(tmp_path)) == 130
    assert "--resume" in only_line(capsys)


def test_a_fault_is_one_line_and_exit_1(tmp_path: Path, dub: Dub, capsys: pytest.CaptureFixture[str]) -> None:
    dub.failure = ZeroDivisionError("by zero")
    assert cli.run(words(tmp_path)) == 1
    line = only_line(capsys)
    assert "ZeroDivisionError: by zero" in line and "KOUXING_TRACEBACK=1" in line


def test_the_traceback_on_request(
    tmp_path: Path, dub: Dub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOUXING_TRACEBACK", "1")
    dub.failure = ZeroDivisionError("by zero")
    assert cli.run(words(tmp_path)) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("force", [True, False])
def test_an_output_is_replaced_only_on_request(tmp_path: Path, dub: Dub, force: bool) -> None:
    assert cli.run(words(tmp_path, *(["--force"] if force else []))) == 0
    assert dub.asked["overwrite"] is force


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dub", "a.mp4"], "SPEECH"),
        (["dub", "a.mp4", "b.wav"], "--out"),
        (["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--mouth", "wide"], "--mouth"),
        (["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--face", "-1"], "--face"),
        (["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--preset", "finest"], "--preset"),
        (["dub", "a.mp4", "b.wav", "-o", "c.mp4", "--nothing"], "--nothing"),
        (["sing"], "sing"),
        (["train", "lips"], "--data"),
        (["train", "hands", "--data", "x"], "hands"),
        (["evaluate", "lips"], "--data"),
    ],
)
def test_usage_mistakes_are_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 2
    line = only_line(capsys)
    assert said in line and "--help" in line


def test_commands_are_functions_of_the_package() -> None:
    pytest.importorskip("torch")
    # What needs PyTorch is there, but not in what `import *` takes.
    assert {"animate", "avatar", "demo", "dub", "fit", "prepare", "score", "track"} <= set(dir(kouxing))
    assert all(getattr(kouxing, name) is not None for name in kouxing.__all__)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("kouxing ")
    assert cli.run(["--help"]) == 0
    assert "dub" in capsys.readouterr().out


def test_training_without_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(import_module("kouxing.cli.train.options"), "find_spec", lambda name: None)
    assert cli.run(["train", "lips", "--data", str(tmp_path)]) == 2
    assert "kouxing[train]" in only_line(capsys)


@pytest.mark.parametrize("network", ["speech", "front", "lips"])
def test_a_dry_run_shows_the_settings(network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "run"
    arguments = ["train", network, "--data", "data", "-o", str(out), "--steps", "7", "--seed", "3", "--dry-run"]
    assert cli.run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["network"], told["schedule"]["steps"], told["schedule"]["seed"]) == (network, 7, 3)
    assert not out.exists()
    assert cli.run(["train", network, "--data", str(tmp_path)]) == 2
    assert "manifest.csv" in capsys.readouterr().err.splitlines()[-1]


def test_a_dry_run_of_the_painter_shows_when_critics_come(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert cli.run(["train", "lips", "--data", "data", "--gan-from", "0.1", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["gan_from"] == 0.1
    assert cli.run(["train", "lips", "--data", "data", "--seed", "-1", "--dry-run"]) == 2
    assert "--seed" in only_line(capsys)


def test_training_asks_for_held_out_clips_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    head = "id,split,speaker,language,seconds,licence,corpus\n"
    (tmp_path / "manifest.csv").write_text(head + "a,train,s,en,3,own,mine\n", "utf-8")
    for network in (
        "speech",
        "front",
        "mouth",
        "expression",
        "lips",
        "sync",
        "lipreader",
        "coefficients",
        "multimodal",
    ):
        assert cli.run(["train", network, "--data", str(tmp_path), "-o", str(tmp_path / "run")]) == 2
        line = only_line(capsys)
        assert "no clip of split 'val'" in line and "--split" in line


def test_a_painter_begins_and_is_judged_by_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    head = "id,split,speaker,language,seconds,licence,corpus\n"
    (tmp_path / "manifest.csv").write_text(head + "a,train,s,en,3,own,mine\nb,val,t,en,3,own,mine\n", "utf-8")
    part = tmp_path / "part"
    part.mkdir()
    (part / "sync_mouth.onnx").touch()
    (part / "lips_fast_frame.onnx").touch()
    for option, given, missing in (
        ("--start", tmp_path / "none", "no such file or folder"),
        ("--start", part, "lips_fast_references.onnx"),
        ("--judge", part, "best.safetensors"),
        ("--vgg19", part, "no such file"),
    ):
        assert cli.run(["train", "lips", "--data", str(tmp_path), "-o", str(tmp_path / "run"), option, str(given)]) == 2
        line = only_line(capsys)
        assert option in line and missing in line
    assert not (tmp_path / "run").exists()


def test_a_wide_table_in_a_file_is_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table = Table("given", *(f"{db} dB" for db in range(20, -10, -2)))
    table.add_row("sound + mouth pictures", *(f"0.{n:03d}/0.{n + 1:03d}" for n in range(100, 115)))
    found = SimpleNamespace(table=lambda: table, figures={}, files=["x.json"])
    evaluate._tell(found, {}, [], None, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "x.json" and len({len(line) for line in lines[:-1]}) == 1
    assert all(f"0.{n}/0.{n + 1}" in lines[3] for n in range(100, 115))
    # Where figures cannot be written, what was measured is shown all the same.
    monkeypatch.setattr(figures, "__file__", str(tmp_path / "site-packages" / "kouxing" / "eval" / "figures.py"))
    with pytest.raises(OutputError, match="no checkout"):
        evaluate._tell(found, {}, [], "dub", as_json=False)
    assert "x.json" in capsys.readouterr().out


def test_figures_without_a_table_are_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["evaluate", "lips", "--data", "nowhere", "--figures", "bogus"]) == 2
    line = only_line(capsys)
    assert "--figures bogus: there is no such table; choose one of" in line and "dub" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_no_fault_of_the_program() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kouxing", "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("kouxing: error: standard output cannot be written")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_that_cannot_be_written_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "kouxing", "score", "none.mp4"]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=full, text=True, check=False)
        assert done.returncode == 2 and done.stdout == ""
        told = subprocess.run(
            [sys.executable, "-c", LINES], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )  # fmt: skip
    assert told.stdout == "done\n"
    closed = ["sh", "-c", 'exec "$0" -m kouxing score none.mp4 2>&-', sys.executable]
    done = subprocess.run(closed, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""


LINES = "from kouxing.cli.progress import Lines; Lines()('scan', 1, 2); print('done')"


def test_letters_that_the_output_lacks_are_written_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="cp1252"))
        assert cli.run(["score", "口型.mp4"]) == 2
        output.print_fields({"out": Path("口型.csv")})
        output.print_json({"out": Path("é口.csv")})
        sys.stdout.flush()
        plain, told = shown.getvalue().decode("ascii").splitlines()
    assert plain == r"out: \u53e3\u578b.csv" and json.loads(told) == {"out": "é口.csv"}


def test_plain_values() -> None:
    value = {"a": np.float32(0.5), "b": np.arange(2), "c": Fraction(1, 4), "d": (float("nan"), None), "e": Path("x")}
    assert output.plain(value) == {"a": 0.5, "b": [0, 1], "c": 0.25, "d": [None, None], "e": "x"}
    with pytest.raises(TypeError):
        output.plain(object())


def test_progress_lines_come_seldom_and_tell_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter(range(100))
    lines = Lines(clock=lambda: float(next(times)), every_s=4.0)
    for done in range(11):
        lines("paint", done, 10)
    lines("join", 0, None)
    shown = capsys.readouterr().err.splitlines()
    assert shown == [
        "kouxing: paint: 0/10",
        "kouxing: paint: 4/10, 0:06 left",
        "kouxing: paint: 8/10, 0:02 left",
        "kouxing: paint: 10/10",
        "kouxing: join: 0",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (75.2, "1:15"), (3600, "1:00:00")])
def test_clock_text(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_reports_are_lines_and_their_warnings_notes(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass
    class Sent:
        out: tuple[Path, ...]
        sent: dict[str, Any] | None
        seconds: float
        warnings: tuple[str, ...]

    made = Sent((Path("a.csv"), Path("b.glb")), {"to": "vmc://x", "frames": 3}, 1.23456, ("nobody listened",))
    output.print_report(made, as_json=False)
    told = capsys.readouterr()
    assert told.out.splitlines() == ["out: a.csv", "out: b.glb", "to: vmc://x", "frames: 3", "seconds: 1.235"]
    assert told.err == "kouxing: note: nobody listened\n"
    output.print_report(made, as_json=True)
    told = capsys.readouterr()
    assert json.loads(told.out)["warnings"] == ["nobody listened"] and told.err == ""
