"""Recorded takes come back at their own pace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.world import any_track
from kouxing.errors import DataError
from kouxing.export import files
from kouxing.export.livelink import from_csv, to_csv
from kouxing.server.mocap import open_captures
from kouxing.server.mocap_frames import Frame
from kouxing.server.mocap_replay import Replay
from server.mocap_world import until
from shared import SHARED, needs_shared


class Clock:
    """Time passes by waiting, and by what ``stall`` says for each wait."""

    def __init__(self, stall: dict[int, float] | None = None) -> None:
        self.now, self.waits = 100.0, 0
        self._stall = stall or {}

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        assert seconds > 0
        self.now += seconds + self._stall.get(self.waits, 0.0)
        self.waits += 1
        return False


def played(path: Path, clock: Clock) -> tuple[list[tuple[float, Frame]], Replay]:
    """(when it came, frame) of each row."""
    came: list[tuple[float, Frame]] = []
    replay = Replay(path, clock, clock.wait)
    replay.face.push = lambda frame: came.append((clock.now, frame))
    assert replay.play() is False
    return came, replay


def test_rows_come_when_they_are_due(tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    track = any_track(90)
    files.write(track, path)
    came, replay = played(path, Clock())
    assert [at - 100 for at, _ in came] == pytest.approx([row / 60 for row in range(90)], abs=1e-9)
    np.testing.assert_allclose([frame.values for _, frame in came], track.values, atol=1e-6)
    np.testing.assert_allclose([frame.rotations for _, frame in came], track.rotations, atol=1e-6)
    assert replay.late == 0


@pytest.mark.parametrize(("angle", "played_as"), [(7.0, 7 - 2 * np.pi), (90.0, None)])
def test_turns_beyond_the_wire(tmp_path: Path, angle: float, played_as: float | None) -> None:
    track = any_track(3)
    assert track.rotations is not None
    track.rotations[1, 0] = angle
    path = tmp_path / "take.csv"
    files.write(track, path)
    if played_as is None:
        with pytest.raises(DataError, match="it turns by 90; give the angles in radians"):
            Replay(path)
        return
    frame = played(path, Clock())[0][1][1]
    assert frame.rotations is not None and frame.rotations[0] == pytest.approx(played_as, abs=1e-4)


def test_a_stall_loses_its_rows_and_nothing_after(tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    files.write(any_track(90), path)
    came, replay = played(path, Clock({20: 0.5}))
    assert replay.late == pytest.approx(30, abs=1) and len(came) + replay.late == 90
    assert came[-1][0] - 100 == pytest.approx(89 / 60, abs=1e-9)


def test_what_is_no_take(tmp_path: Path) -> None:
    for name, content in (("a.csv", b""), ("b.csv", b"\xff"), ("c.txt", b"x"), ("d.json", b"[]")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as caught:
            open_captures([str(tmp_path / name)])
        assert name in str(caught.value) and "\n" not in str(caught.value)


TAKE = b"".join(to_csv(any_track(2)))


@given(st.lists(st.tuples(st.integers(0, len(TAKE) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(TAKE)))
def test_any_damage_gives_a_take_or_a_data_error(faults: list[tuple[int, int]], length: int) -> None:
    made = bytearray(TAKE)
    for place, byte in faults:
        made[place] = byte
    for content in (bytes(made), bytes(made[:length])):
        try:
            track = from_csv(content, "take.csv")
        except DataError as error:
            assert "take.csv" in str(error) and "\n" not in str(error)
            continue
        assert len(track) and np.isfinite(track.rotations).all()


def test_a_thread_plays_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    files.write(any_track(30), path)
    with open_captures([str(path)]) as hub:
        until(lambda: hub.faces[0].latest() is not None)
        assert not hub.body().bones and hub.counts() == {}
    thread = hub._sources[0]._thread
    assert not thread.is_alive()


@needs_shared
@pytest.mark.parametrize("name", ["neutral", "angry", "sad", "speech"])
def test_real_takes_keep_their_own_times(name: str) -> None:
    path = SHARED / "data" / "mocap" / f"livelink-{name}.csv"
    track = files.read(path)
    came, replay = played(path, Clock())
    assert len(came) == len(track) and replay.late == 0
    own = track.seconds - track.seconds[0]
    np.testing.assert_allclose(np.array([at for at, _ in came]) - 100, own, atol=1e-6)
    # The phone's own rate, a little under 60 rows a second.
    assert 55 < (len(came) - 1) / own[-1] <= 60.1
    np.testing.assert_array_equal(came[-1][1].values, track.values[-1])
