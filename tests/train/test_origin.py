"""What a run is made of is known by content, not by where it lies."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from kouxing.train.loop import BEST
from kouxing.train.origin import of_clips, origin


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
