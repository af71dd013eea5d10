"""``docs/cli.md`` is what the parser says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kouxing.cli import reference

ROOT = Path(__file__).parents[1]


def test_the_page_is_what_the_parser_says() -> None:
    page = (ROOT / reference.PLACE).read_text(encoding="utf-8")
    assert page == reference.reference(), "run python -m kouxing.cli.reference"


def test_check_fails_on_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reference.main(["--check"]) == 1
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    page = tmp_path / reference.PLACE
    page.write_text(page.read_text(encoding="utf-8").replace("--mouth", "--lips"), encoding="utf-8")
    assert reference.main(["--check"]) == 1
    assert "python -m kouxing.cli.reference" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["dub", "demo", "train speech", "train lips", "evaluate lips"])
def test_every_command_has_its_section(command: str) -> None:
    assert f"## `kouxing {command}`" in reference.reference()


@pytest.mark.parametrize(
    ("command", "row"),
    [
        ("prepare", "| `--sync`, `--no-sync` | `--sync` | "),
        ("animate", "| `[SPEECH]` |  | "),
        ("dub", "| `SPEECH` | required | "),
        ("dub", "| `--force` |  | "),
    ],
)
def test_what_is_on_off_or_needed_is_told(command: str, row: str) -> None:
    section = reference.reference().split(f"## `kouxing {command}`")[1].split("\n## ")[0]
    assert any(line.startswith(row) for line in section.splitlines())
