"""What callers from Python give: numbers of numpy, a single path, names that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_media import make_sound, make_video
from kouxing.errors import KouxingError, OptionError, OutputError
from kouxing.infer.animate import animate
from kouxing.infer.dub import dub
from kouxing.infer.given import face_number, paths
from kouxing.infer.order import Order
from kouxing.infer.prepare.run import prepare
from kouxing.infer.score import score
from kouxing.infer.score_many import score_many
from kouxing.infer.track import track


def order(**changed: Any) -> Order:
    given = {"mouth": 1.0, "face_index": 0, "length": "video", "preset": "fast", "out": Path("o.mp4"), **changed}
    return Order(face=Path("a.mp4"), speech=Path("a.wav"), **given)


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2)])
def test_numbers_of_faces(value: Any) -> None:
    number = face_number(value)
    assert number == 2 and type(number) is int
    assert type(order(face_index=value).face_index) is int


@pytest.mark.parametrize("value", [-1, np.int64(-1), 0.5, "0", None])
def test_what_is_no_number_of_a_face(value: Any) -> None:
    with pytest.raises(OptionError, match="counted from 0"):
        face_number(value)


@pytest.mark.parametrize("value", [1, np.int64(1), np.float32(1)])
def test_numbers_for_the_mouth(value: Any) -> None:
    assert order(mouth=value).mouth == 1.0 and type(order(mouth=value).mouth) is float


@pytest.mark.parametrize("value", [-0.1, 3.5, float("nan"), "wide", None, [1.0]])
def test_what_is_no_opening(value: Any) -> None:
    with pytest.raises(OptionError, match="from 0 to 3, or auto"):
        order(mouth=value)


def test_one_path_stands_for_itself() -> None:
    assert paths("a.mp4") == paths(Path("a.mp4")) == paths(["a.mp4"]) == [Path("a.mp4")]


def test_a_name_that_is_too_long_is_told() -> None:
    with pytest.raises(OutputError, match="name is too long"):
        order(out=Path("x" * 300 + ".mp4")).check_out(False)


BAD = ["a\0b{}", "a" * 300 + "{}"]


@pytest.mark.parametrize("name", BAD, ids=["null", "long"])
def test_paths_that_the_system_refuses_are_one_line(tmp_path: Path, name: str) -> None:
    def bad(ending: str) -> Path:
        return tmp_path / name.format(ending)

    made, heard, out = tmp_path / "a.mp4", tmp_path / "a.wav", tmp_path / "out"
    make_video(made, frames=5, sound_rate=16_000)
    make_sound(heard, 1)
    # What is there is compared with the inputs before it is replaced.
    (tmp_path / "old.csv").write_text("old")
    (tmp_path / "old.mp4").write_text("old")
    plain: dict[str, Any] = {"sync": False, "jobs": 0}
    works: list[Callable[[], object]] = [
        lambda: dub(bad(".mp4"), heard, tmp_path / "old.mp4", overwrite=True),
        lambda: dub(made, bad(".wav"), tmp_path / "b.mp4"),
        lambda: dub(made, heard, bad(".mp4")),
        lambda: animate(bad(".wav"), tmp_path / "old.csv", overwrite=True),
        lambda: animate(heard, bad(".csv")),
        lambda: animate(heard, tmp_path / "b.glb", avatar=bad(".glb")),
        lambda: animate(heard, tmp_path / "b.csv", style=bad(".csv")),
        lambda: track(bad(".mp4"), tmp_path / "old.csv", overwrite=True),
        lambda: track(made, bad(".csv")),
        lambda: score(bad(".mp4"), fix=tmp_path / "old.mp4", overwrite=True),
        lambda: score(made, fix=bad(".mp4")),
        lambda: score(made, plot=bad(".png")),
        lambda: score_many(bad(".mp4"), tmp_path / "b.jsonl"),
        lambda: score_many(made, bad(".jsonl")),
        lambda: prepare([bad(".mp4")], out, **plain),
        lambda: prepare([made], bad(""), **plain),
        lambda: prepare([made], out, info=bad(".csv"), **plain),
    ]
    for number, work in enumerate(works):
        with pytest.raises(KouxingError) as caught:
            work()
        assert "\n" not in str(caught.value) and name.format("") in str(caught.value), number


def test_a_link_to_nothing_is_not_replaced_unasked(tmp_path: Path) -> None:
    made, heard = tmp_path / "a.mp4", tmp_path / "a.wav"
    make_video(made, frames=5, sound_rate=16_000)
    make_sound(heard, 1)
    links = {ending: tmp_path / f"link{ending}" for ending in (".mp4", ".csv", ".png")}
    for link in links.values():
        link.symlink_to(tmp_path / "gone")
    works: list[Callable[[], object]] = [
        lambda: dub(made, heard, links[".mp4"]),
        lambda: animate(heard, links[".csv"]),
        lambda: track(made, links[".csv"]),
        lambda: score(made, fix=links[".mp4"]),
        lambda: score(made, plot=links[".png"]),
    ]
    for work in works:
        with pytest.raises(OutputError, match="is there already"):
            work()
    assert all(link.is_symlink() for link in links.values())
