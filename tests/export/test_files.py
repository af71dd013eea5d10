"""Tracks as files: what goes in comes out, and bad files and places are named."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from export.world import any_track
from kouxing.arkit import COEFFICIENTS
from kouxing.errors import DataError, KouxingError, OptionError, OutputError
from kouxing.export.files import check_output, read, write
from kouxing.export.json import from_json
from kouxing.export.json import to_json as pieces_of
from kouxing.types import CoefficientTrack


def to_json(track: CoefficientTrack) -> bytes:
    return b"".join(pieces_of(track))


@pytest.mark.parametrize("ending", [".csv", ".json"])
@pytest.mark.parametrize("uneven", [False, True])
def test_there_and_back(tmp_path: Path, ending: str, uneven: bool) -> None:
    track = any_track(6)
    if uneven:
        pts = np.array([0, 1, 2, 5, 6, 9])
        track = CoefficientTrack(track.values, rotations=track.rotations, pts=pts, start=Fraction(5, 2))
    path = tmp_path / f"take{ending}"
    write(track, path)
    back = read(path)
    np.testing.assert_allclose(back.values, track.values, atol=1e-6)
    np.testing.assert_allclose(back.rotations, track.rotations, atol=1e-6)
    assert [back.time(row) for row in range(6)] == [track.time(row) for row in range(6)]
    assert (back.start, back.rate) == (track.start, track.rate)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_json_is_plain_and_named() -> None:
    told = json.loads(to_json(any_track(2, turns=False, rate=Fraction(30000, 1001))))
    assert told["rate"] == "30000/1001" and told["names"] == list(COEFFICIENTS) and "rotation_names" not in told
    assert [frame["time"] for frame in told["frames"]] == [0.0, 0.033367]
    assert all(len(frame["values"]) == 52 for frame in told["frames"])
    assert json.loads(to_json(any_track(0)))["frames"] == []


def test_json_goes_by_name() -> None:
    told = {
        "format": "kouxing coefficients",
        "version": 1,
        "rate": "25/1",
        "start": "0/1",
        "names": ["jawOpen", "mouthClose"],
    }
    told["frames"] = [{"time": 0, "values": [0.5, 0.25]}]
    track = from_json(json.dumps(told).encode(), "x.json")
    assert track.column("jawOpen")[0] == 0.5 and track.column("mouthClose")[0] == 0.25 and track.values.sum() == 0.75


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"format": "kouxing coefficients", "version": 2}',
        to_json(any_track(1))[:300],
        b"[" * 100_000,
        to_json(any_track(1)).replace(b'"rotation_names": [', b'"rotation_names": {}, "other": ['),
    ],
)
def test_what_is_no_track_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_places(tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("mine")
    for path, kind in (
        (tmp_path / "x.fbx", OptionError),
        (tmp_path / "no" / "x.csv", OutputError),
        (there, OutputError),
        (tmp_path / ("x" * 300 + ".csv"), OutputError),
    ):
        with pytest.raises(kind) as caught:
            check_output(path, overwrite=False)
            write(any_track(1), path)
        assert "\n" not in str(caught.value)
    assert there.read_text() == "mine"
    check_output(there, overwrite=True)
    with pytest.raises(KouxingError):
        read(tmp_path / "none.csv")


def test_tracks_refuse_wrong_shapes_and_values() -> None:
    good = np.zeros((2, 52), np.float32)
    for wrong in ({"values": good[:, :51]}, {"values": good + 2}, {"values": good * np.nan}, {"rotations": good}):
        with pytest.raises(ValueError):
            CoefficientTrack(**({"values": good} | wrong))
    with pytest.raises(ValueError):
        CoefficientTrack(good, pts=np.array([1, 1]))


def test_resampling_is_linear_and_exact_in_time() -> None:
    ramp = CoefficientTrack.of({"jawOpen": np.arange(26) / 25}, Fraction(25)).at(Fraction(60))
    assert len(ramp) == 61 and ramp.rate == 60
    np.testing.assert_allclose(ramp.column("jawOpen"), np.arange(61) / 60, atol=1e-6)
    with pytest.raises(KeyError):
        CoefficientTrack.of({"jawopen": np.zeros(3)})
