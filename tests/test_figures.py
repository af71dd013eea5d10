"""The README's numbers are those of ``docs/figures``; several commands can fill one file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from kouxing.errors import DataError
from kouxing.eval import figures
from kouxing.eval.rows import LABELS
from kouxing.eval.rows.row import Row

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", figures.PAGES)
def test_the_pages_are_what_was_measured(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    # Every file has its table on both pages.
    shown = {found[2] for found in figures.MARKED.finditer(text)}
    assert shown == {path.stem for path in (ROOT / "docs" / "figures").glob("*.json")}
    assert figures.tables(text) == text, "run python -m kouxing.eval.figures"


def test_rows_with_a_goal_bring_what_they_speak_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "a": Row("Speed", "", 0),
        "b": Row("the same, slowly", "≥", 2),
        "c": Row("Size", "", 0),
        "d": Row("the same, packed", "", 0),
        "e": Row("Weight", "≤", 3),
    }
    monkeypatch.setitem(LABELS, "some", rows)
    figures.write("some", "x", {"a": 1.0, "b": 3.0, "unnamed": 4.0}, folder=tmp_path)
    made = figures.tables("<!-- figures:some goals -->\n<!-- /figures -->\n", tmp_path)
    assert [line.split("|")[1].strip() for line in made.splitlines() if line.startswith("| ")][1:] == [
        "Speed", "the same, slowly", "Weight",
    ]  # fmt: skip
    assert "unnamed" in figures.table("some", tmp_path)


@pytest.mark.parametrize(
    ("row", "met", "missed"),
    [
        (Row("lag", "±", 20), (-20, 0, 20), (-480, 21)),
        (Row("sharpness", "≥", 0.8, most=1.25), (0.8, 1.25), (0.7, 3.0)),
        (Row("error", "≤", 1), (1, -5), (1.1,)),
    ],
)
def test_goals_are_judged_on_both_sides(row: Row, met: tuple[float, ...], missed: tuple[float, ...]) -> None:
    assert {figures._met(value, row) for value in met} == {"yes"}
    assert {figures._met(value, row) for value in missed} == {"no"}


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "figures").glob("*.json")), ids=lambda path: path.stem)
def test_figure_files_tell_where_they_come_from(path: Path) -> None:
    told = figures.load(path.stem)
    assert told["command"] and told["commit"] and told["machine"]
    keys = [key for run in told["commands"].values() for key in run["keys"]]
    assert sorted(keys) == sorted(told["figures"])


def test_two_commands_share_a_file(tmp_path: Path) -> None:
    path = figures.write("dub", "measure", {"self_r_grid": 0.7, "peak_mb": 900.0}, folder=tmp_path)
    figures.write("dub", "bench", {"fps_fast": 30.0, "peak_mb": 800.0}, "one minute", folder=tmp_path)
    told = json.loads(path.read_text(encoding="utf-8"))
    assert told["figures"] == {"self_r_grid": 0.7, "fps_fast": 30.0, "peak_mb": 800.0}
    assert list(told["figures"]) == ["self_r_grid", "fps_fast", "peak_mb"]
    assert told["command"] == "measure && bench"
    assert told["commands"]["measure"]["keys"] == ["self_r_grid"]
    assert told["commands"]["bench"]["notes"] == "one minute"
    assert told["machine"] == figures.machine()


def test_measuring_again_replaces_what_the_command_wrote(tmp_path: Path) -> None:
    figures.write("dub", "bench", {"fps_fast": 30.0, "fps_fine": 12.0}, folder=tmp_path)
    figures.write("dub", "bench", {"fps_fast": 31.0}, folder=tmp_path)
    told = figures.load("dub", tmp_path)
    assert told["figures"] == {"fps_fast": 31.0}
    figures.write("dub", "other", {"fps_fast": 29.0}, folder=tmp_path)
    assert figures.load("dub", tmp_path)["command"] == "other"


def test_numbers_that_are_none(tmp_path: Path) -> None:
    path = figures.write("dub", "x", {"self_r_grid": math.nan, "fps_fast": math.inf}, folder=tmp_path)
    assert json.loads(path.read_text())["figures"] == {"self_r_grid": None, "fps_fast": None}
    assert "| – |  |" in figures.table("dub", tmp_path)


@pytest.mark.parametrize(("value", "met"), [(0.65, "yes"), (0.6499, "no")])
def test_a_goal_is_met_or_not(tmp_path: Path, value: float, met: str) -> None:
    figures.write("dub", "x", {"self_r_grid": value}, folder=tmp_path)
    line = next(line for line in figures.table("dub", tmp_path).splitlines() if "≥ 0.65" in line)
    assert line.endswith(f"| {met} |")


def test_tables_replace_only_what_is_marked(tmp_path: Path) -> None:
    figures.write("other", "x", {"speed": 2.0}, folder=tmp_path)
    text = "before\n<!-- figures:other -->\nold\n<!-- /figures -->\nafter\n"
    made = figures.tables(text, tmp_path)
    assert made.startswith("before\n<!-- figures:other -->\n") and made.endswith("<!-- /figures -->\nafter\n")
    assert "`speed`" in made and "2.00" in made and "old" not in made
    assert figures.tables(made, tmp_path) == made


def test_refresh_writes_once(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- figures:nothing -->\nold\n<!-- /figures -->\n", encoding="utf-8")
    assert figures.refresh(readme)
    assert not figures.refresh(readme)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"figures": 3}'])
def test_files_that_are_no_figures(tmp_path: Path, text: str) -> None:
    (tmp_path / "dub.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        figures.write("dub", "x", {"a": 1.0}, folder=tmp_path)
    assert "\n" not in str(caught.value)
