"""The protocol's bytes: golden files, round trips, and whatever else may come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.server import protocol
from kouxing.server.protocol import Frame, Kind, Refused, Rows
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ
from scripts import script

GOLDEN = Path(__file__).parent / "golden"
INDEX: dict[str, dict[str, Any]] = json.loads((GOLDEN / "index.json").read_text(encoding="utf-8"))


def read(data: bytes) -> tuple[Frame, Any]:
    """A frame and what it holds, as the server reads it."""
    frame = protocol.decode(data)
    if frame.kind is Kind.SOUND:
        return frame, protocol.read_sound(frame)
    if frame.kind is Kind.ROWS:
        return frame, protocol.read_rows(frame)
    if frame.kind is Kind.EVENT:
        return frame, protocol.read_event(frame)
    return frame, frame.payload


@pytest.mark.parametrize("name", [name for name, told in INDEX.items() if "refused" not in told])
def test_golden_frames_read_as_documented(name: str) -> None:
    told = INDEX[name]
    data = (GOLDEN / name).read_bytes()
    frame, held = read(data)
    assert (frame.kind, frame.time, frame.sequence, frame.flags) == tuple(
        told[key] for key in ("kind", "time", "sequence", "flags")
    )
    if isinstance(held, Rows):
        assert held.times.tolist() == told["times"]
        np.testing.assert_allclose(held.values, told["values"], atol=1e-5)
        assert held.rest == bool(told["flags"])
        assert (None if held.turns is None else held.turns.tolist()) == told.get("turns")
        encoding = data[protocol.HEADER.size + 3]
        assert protocol.rows_bytes(held, encoding) == frame.payload
    elif frame.kind is Kind.SOUND:
        assert held.tolist() == told["samples"]
        assert protocol.sound_bytes(held) == frame.payload
    elif frame.kind is Kind.EVENT:
        assert held == told["event"]
        assert protocol.event_bytes(held) == frame.payload
    else:
        assert list(held) == told["bytes"]
    assert protocol.encode(frame) == data


@pytest.mark.parametrize("name", [name for name, told in INDEX.items() if "refused" in told])
def test_golden_faults_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(Refused) as caught:
        read((GOLDEN / name).read_bytes())
    assert caught.value.code == INDEX[name]["refused"]
    assert "\n" not in str(caught.value) and caught.value.close >= 4400


def test_the_golden_files_are_those_of_the_script() -> None:
    made = script("tests/server/make_golden.py").files()
    assert sorted(f"{name}.bin" for name in made) == sorted(INDEX)
    for name, (data, _) in made.items():
        assert (GOLDEN / f"{name}.bin").read_bytes() == data


HEADS = st.tuples(
    st.sampled_from([0, 1, 1, 1, 1, 2]), st.integers(0, 7), st.sampled_from([0, 0, 1, 2, 0xFFFF]),
    st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1),
)  # fmt: skip


@given(st.one_of(st.binary(max_size=400), st.tuples(HEADS, st.binary(max_size=400))))
def test_whatever_comes_is_read_or_refused(given_: Any) -> None:
    if isinstance(given_, bytes):
        data = given_
    else:
        (version, kind, flags, sequence, time), payload = given_
        data = protocol.HEADER.pack(version, kind, flags, sequence, time, len(payload)) + payload
    try:
        frame, _ = read(data)
    except Refused as error:
        assert "\n" not in str(error)
    else:
        assert protocol.encode(frame) == data


@given(st.integers(1, 40), st.sampled_from([protocol.FLOAT32, protocol.U16]), st.binary(min_size=1, max_size=8))
def test_damaged_rows_never_do_worse_than_be_refused(count: int, encoding: int, noise: bytes) -> None:
    rng = np.random.default_rng(list(noise))
    rows = Rows(np.sort(rng.integers(0, 9999, count)), rng.random((count, 52), np.float32))
    body = bytearray(protocol.rows_bytes(rows, encoding))
    for byte in noise:
        body[int(rng.integers(len(body)))] = byte
    try:
        held = protocol.read_rows(Frame(Kind.ROWS, bytes(body), 5, 1))
    except Refused:
        return
    assert np.isfinite(held.values).all() and held.values.min() >= 0 and held.values.max() <= 1
    assert (np.diff(held.times) >= 0).all()


@given(st.text(max_size=300))
def test_text_is_an_object_or_refused(text: str) -> None:
    try:
        assert isinstance(protocol.read_object(text, "it"), dict)
    except Refused as error:
        assert error.code == "malformed"


def test_deep_json_is_refused() -> None:
    with pytest.raises(Refused):
        protocol.read_object("[" * 16_000, "it")


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=50))
def test_sound_keeps_its_samples(values: list[float]) -> None:
    samples = np.clip(np.array(values, np.float32), -1, 32767 / 32768)
    back = protocol.to_float(protocol.to_s16(samples))
    np.testing.assert_allclose(back, samples, atol=0.6 / 32768)


@given(st.integers(0, 10**9))
def test_rows_stand_sixty_times_a_second(number: int) -> None:
    time = protocol.row_time(number)
    assert abs(time - number * SAMPLE_HZ / COEFFICIENT_HZ) < 1
    assert protocol.row_time(protocol.row_at(time)) >= time
    assert protocol.row_at(time) in (number, number + 1) and protocol.row_time(protocol.row_at(time) - 1) < time
