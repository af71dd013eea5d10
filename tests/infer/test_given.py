"""What callers from Python give: numbers of numpy, a single path, names that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kouxing.errors import OptionError, OutputError
from kouxing.infer.given import face_number, paths
from kouxing.infer.order import Order


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
