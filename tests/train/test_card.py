"""What a card tells of licences, and that what it gives as a recipe is a command."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import typer

from kouxing import weights
from kouxing.cli.app import app
from kouxing.text import mbrola
from kouxing.train.card import OPEN, about, changed, further_sources, inherited, learned_from
from kouxing.train.loop import BEST, SOURCES, Schedule

HEAD = "id,split,speaker,language,seconds,licence,corpus\n"


def licence(data: Path, *rows: str, coefficients: bool = True) -> str:
    """Of weights that were trained on ``licence,corpus`` rows."""
    lines = [f"clip-{place},train,s,en,3,{row}" for place, row in enumerate(rows)]
    (data / "manifest.csv").write_text(HEAD + "\n".join(lines) + "\n", "utf-8")
    told = about(data, "", {}, {"r": 0.51239, "unknown": float("nan")}, further_sources(data, coefficients))
    assert told["figures"] == {"r": 0.5124}
    return str(told["licence"])


def test_the_licence_names_what_limits_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbrola, "voices", dict)
    assert licence(tmp_path, "own,mine", "open,GRID") == OPEN
    told = licence(tmp_path, "own,mine", "unknown,holidays", "research,LRC-AR")
    assert "non-commercial" in told and "holidays (unknown)" in told and "LRC-AR (research)" in told
    assert "mine" not in told
    # Coefficients that the shipped network read bring its licence along.
    (tmp_path / "prepare").mkdir()
    settings = tmp_path / "prepare" / "settings.json"
    settings.write_text(json.dumps({"landmarker": ""}), "utf-8")
    assert "`coefficients`" in licence(tmp_path, "own,mine")
    assert licence(tmp_path, "own,mine", coefficients=False) == OPEN
    settings.write_text(json.dumps({"landmarker": "0123"}), "utf-8")
    assert licence(tmp_path, "own,mine") == OPEN


@pytest.mark.parametrize(
    "told", ["free for non-commercial use", "Open RAIL (research only)", "own use only", "CC BY-NC 4.0", "opened"]
)
def test_what_sounds_free_may_not_be(told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbrola, "voices", dict)
    assert "non-commercial" in licence(tmp_path, "own,mine", f"{told},theirs")
    assert licence(tmp_path, "Open,a", "own ,b", "CC BY 4.0,c", "MIT,d") == OPEN


def test_a_recipe_tells_what_differs_from_the_preset() -> None:
    preset = Schedule(steps=10)
    assert changed(preset, preset) == []
    assert changed(Schedule(steps=5, seed=3), preset) == ["--steps 5", "--seed 3"]


def test_speech_and_capture_beside_the_footage_limit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbrola, "voices", dict)
    (tmp_path / "phones").mkdir()
    table = tmp_path / "phones" / "manifest.csv"
    table.write_text(
        "source,licence\ncmu: a.wav,public domain\nmfa: b.wav,MIT\nsppas: c.wav,GPL-3.0 (samples)\n", "utf-8"
    )
    assert licence(tmp_path, "own,mine") == OPEN
    table.write_text("source,licence\ncmu: a.wav,public domain\nted: b.wav,CC BY-NC 4.0\n", "utf-8")
    told = licence(tmp_path, "own,mine")
    assert "ted (CC BY-NC 4.0)" in told and "cmu" not in told


def test_what_descends_keeps_its_parents_licences(tmp_path: Path) -> None:
    run, stage = tmp_path / "speech", tmp_path / "speech" / "phones"
    stage.mkdir(parents=True)
    (run / "config.json").write_text("{}", "utf-8")
    parent = {"licence": "CC-BY-NC-4.0", "data": [{"source": "LRC-AR", "licence": "research", "seconds": 3}]}
    (run / "speech.json").write_text(json.dumps(parent), "utf-8")
    for place in (run, run / "best.safetensors", stage / "best.safetensors"):
        assert inherited(None, place) == parent["data"]
    (tmp_path / "manifest.csv").write_text(HEAD + "one,train,s,en,3,own,mine\n", "utf-8")
    # Every run keeps its configuration beside its weights, stages too.
    (stage / "config.json").write_text("{}", "utf-8")
    assert inherited(stage / "best.safetensors") == parent["data"]
    for name, text in (
        ("torn", "{bad"),
        ("list", '{"licence": "x", "data": ["a"]}'),
        ("row", '{"licence": 1, "data": [{}]}'),
    ):
        (run / f"{name}.json").write_text(text, "utf-8")
    assert inherited(run) == parent["data"]
    told = about(tmp_path, "", {}, {}, inherited(run))
    assert "LRC-AR (research)" in told["licence"] and len(told["data"]) == 2
    assert about(tmp_path, "", {}, {}, inherited(None))["licence"] == OPEN


def test_weights_that_nothing_tells_of_are_of_unknown_licence(tmp_path: Path) -> None:
    run, texts = tmp_path / "runs" / "stopped", tmp_path / "runs" / "texts"
    run.mkdir(parents=True)
    texts.mkdir()
    (run / BEST).touch()
    assert inherited(None, texts, tmp_path / "runs" / "none") == []
    (tmp_path / "manifest.csv").write_text(HEAD + "one,train,s,en,3,own,mine\n", "utf-8")
    for place in (run, run / BEST):
        told = about(tmp_path, "", {}, {}, inherited(place))
        assert "stopped, which nothing tells of (unknown)" in told["licence"]
    # What a run learns from is told from its first step on.
    (run / SOURCES).write_text(json.dumps(learned_from(tmp_path)), "utf-8")
    assert about(tmp_path, "", {}, {}, inherited(run / BEST))["licence"] == OPEN


@pytest.mark.parametrize("name", weights.names())
def test_a_shipped_recipe_is_a_command(name: str) -> None:
    program, *arguments = shlex.split(weights.card(name)["recipe"])
    if program == "python":
        # What we did not train ourselves is cut out of its package by a script.
        assert name == "front" and (Path(__file__).parents[2] / arguments[0]).is_file()
        return
    assert program == "kouxing"
    command = typer.main.get_command(app)
    with command.make_context("kouxing", list(arguments[:1])) as context:
        train = command.get_command(context, arguments[0])  # type: ignore[attr-defined]
    one = train.get_command(context, arguments[1])
    # Parsed, not run: an option that is not there any more, or lacks its value, is refused.
    one.make_context(arguments[1], arguments[2:])
