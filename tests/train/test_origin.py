"""What a run is made of is known by content, not by where it lies."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kouxing.audio.painter_ear import NAMES
from kouxing.train.loop import BEST
from kouxing.train.origin import of_clips, origin, tell_ears


def test_other_data_and_other_parents_are_other_runs(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    for folder in (data, run):
        folder.mkdir()
    (data / "manifest.csv").write_text("id\na\n")
    (run / BEST).write_bytes(b"weights")
    told = origin(data, speech=run, judge=None)
    assert set(told) == {"data", "speech"} and origin(data, speech=run / BEST) == told
    moved = run.rename(tmp_path / "elsewhere")
    assert origin(data, speech=moved) == told
    (moved / BEST).write_bytes(b"others!")
    assert origin(data, speech=moved)["speech"] != told["speech"]
    (data / "manifest.csv").write_text("id\nb\n")
    assert origin(data)["data"] != told["data"]


def test_clips_are_known_by_name_and_length() -> None:
    def told(*clips: tuple[str, int]) -> str:
        return of_clips([SimpleNamespace(clip=SimpleNamespace(id=name), found=range(size)) for name, size in clips])  # type: ignore[misc]

    assert told(("a", 3), ("b", 4)) == told(("a", 3), ("b", 4))
    assert len({told(("a", 3)), told(("a", 4)), told(("b", 3)), told(("a", 3), ("b", 3))}) == 4


def test_which_ears_are_not_ones_own_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name in zip(("front", "speech", "multimodal"), NAMES, strict=True):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.onnx").touch()

    def told(*folders: str) -> list[str]:
        monkeypatch.setenv("KOUXING_WEIGHTS", os.pathsep.join(str(tmp_path / folder) for folder in folders))
        lines: list[str] = []
        tell_ears(NAMES, lines.append)
        return lines

    assert told() == told("front", "speech", "multimodal") == []
    (line,) = told("front", "speech")
    assert line.startswith("multimodal_ear: the shipped one") and "KOUXING_WEIGHTS" in line


def test_the_recipe_paints_by_ears_of_its_own() -> None:
    """Every one: what hears with a shipped ear has its licence."""
    lines = (Path(__file__).parents[2] / "recipes" / "train.sh").read_text(encoding="utf-8").splitlines()
    own = ["runs/front", "runs/speech", "runs/multimodal"]
    assert len(own) == len(NAMES)
    painters = [place for place, line in enumerate(lines) if " kouxing train lips " in line]
    assert len(painters) == 3
    for place in painters:
        named, _, _ = lines[place].partition(" kouxing ")
        assert named.removeprefix("KOUXING_WEIGHTS=").split(":") == own
        assert all(any(line.endswith(f" --out {folder}") for line in lines[:place]) for folder in own)
