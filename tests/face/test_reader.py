"""What is read before its turn: the same as at its turn, and little in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from kouxing.face import reader
from kouxing.face.picture import Picture
from kouxing.face.square import Square
from kouxing.infer.pipeline import announced
from kouxing.types import Bytes

COUNT = 40


class FakeNetwork:
    """Gives nothing; ``read`` below tells what it was asked for."""

    solid = None

    def close(self) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, Square]]]:
    told: list[tuple[int, Square]] = []

    def read(_network: Any, picture: Picture, square: Square) -> Any:
        number = int(np.asarray(picture.source)[0, 0, 0])
        told.append((number, square))
        return np.array([[number, square.x]], np.float32)

    monkeypatch.setattr(reader, "MeshNetwork", FakeNetwork)
    monkeypatch.setattr(reader, "read", read)
    yield told


def pictures() -> list[Bytes]:
    return [np.full((4, 4, 3), number, np.uint8) for number in range(COUNT)]


def followed(where: Callable[[int], float]) -> list[tuple[float, ...]]:
    """What a tracker reads of pictures whose square is at ``where(number)``."""
    one, squares, rows = reader.Reader(), [Square(where(0), 0, 100, 0)], []
    try:
        for number, image in enumerate(
            announced(pictures(), lambda image: one.begin(image, squares[-1]), reader.AHEAD)
        ):
            squares.append(Square(where(number), 0, 100, 0))
            points = one.read(Picture(image), squares[-1])
            assert points is not None
            rows.append(tuple(points[0].tolist()))
    finally:
        one.close()
    return rows


@pytest.mark.parametrize(
    ("every", "most"),
    [(COUNT, COUNT), (10, COUNT + 3 * 4), (2, COUNT + 2 * COUNT // 2), (1, 2 * COUNT)],
    ids=["still", "now and then", "every second picture", "always"],
)
def test_ahead_as_far_as_the_square_lasts(asked: list[tuple[int, Square]], every: int, most: int) -> None:
    rows = followed(lambda number: float(number // every))
    assert rows == [(number, number // every) for number in range(COUNT)]
    assert COUNT <= len(asked) <= most


def test_a_picture_nobody_announced_is_read_at_its_turn(asked: list[tuple[int, Square]]) -> None:
    one = reader.Reader()
    square = Square(0, 0, 100, 0)
    images = pictures()
    one.begin(images[1], square)
    assert one.read(Picture(images[0]), square) is not None
    assert one.read(Picture(images[1]), square) is not None
    # Once more, as after a jump.
    assert one.read(Picture(images[1]), Square(9, 0, 100, 0)) is not None
    one.close()
    assert sorted(number for number, _ in asked) == [0, 1, 1]
