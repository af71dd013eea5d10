"""Live Link Face: files as the app writes them, packets byte by byte."""

from __future__ import annotations

import csv
import io
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from export.world import APP_CSV, TURNS, UNREAL_ENUM, any_track
from kouxing.arkit import COEFFICIENTS, ROTATIONS
from kouxing.errors import DataError
from kouxing.export.livelink import Packet, decode, encode, from_csv, timecode
from kouxing.export.livelink import to_csv as lines_of
from kouxing.types import CoefficientTrack
from shared import SHARED, needs_shared


def to_csv(track: CoefficientTrack) -> bytes:
    return b"".join(lines_of(track))


def own_reader(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_the_header_is_the_apps() -> None:
    first = to_csv(any_track(1)).decode().splitlines()[0]
    assert first == ",".join(["Timecode", "BlendShapeCount", *APP_CSV, *TURNS])


def test_an_independent_reader_finds_every_value_under_its_name() -> None:
    track = any_track()
    rows = own_reader(to_csv(track))
    assert len(rows) == 7
    for number, row in enumerate(rows):
        assert row["Timecode"] == f"00:00:00:{number:02}.000" and row["BlendShapeCount"] == "61"
        for name, place in zip(UNREAL_ENUM, range(52), strict=True):
            assert float(row[name]) == pytest.approx(track.values[number, place], abs=1e-9)
        for name, place in zip(TURNS, range(9), strict=True):
            assert float(row[name]) == pytest.approx(track.rotations[number, place], abs=1e-9)
        assert len(row["JawOpen"].split(".")[1]) == 10


def test_time_codes_count_frames_with_thousandths() -> None:
    assert timecode(Fraction(0)) == "00:00:00:00.000"
    at = Fraction(19 * 3600 + 16 * 60 + 29) + Fraction(35273, 60000)
    assert timecode(at) == "19:16:29:35.273"
    assert timecode(Fraction(24 * 3600) + Fraction(1, 60)) == "00:00:00:01.000"
    assert timecode(Fraction(599994, 600000)) == "00:00:00:59.999"
    assert timecode(Fraction(599999, 600000)) == "00:00:01:00.000"


def written(order: list[str], lower: bool, rows: list[list[float]]) -> bytes:
    names = [name[0].lower() + name[1:] if lower else name for name in order + TURNS]
    lines = [",".join(["Timecode", "BlendshapeCount" if not lower else "blendshapecount", *names])]
    lines += [f"10:00:00:{n:02}.250,61," + ",".join(f"{v:.10f}" for v in row) for n, row in enumerate(rows)]
    return ("﻿" + "\r\n".join(lines)).encode()


def test_older_orders_and_other_cases_are_read_by_name() -> None:
    right_first = UNREAL_ENUM[7:14] + UNREAL_ENUM[:7] + UNREAL_ENUM[14:]
    marks = {name: (place + 1) / 100 for place, name in enumerate(UNREAL_ENUM)}
    for order in (UNREAL_ENUM, APP_CSV, right_first):
        for lower in (False, True):
            track = from_csv(written(order, lower, [[marks[n] for n in order] + [0.1] * 9] * 2), "take.csv")
            np.testing.assert_allclose(track.values[0], np.arange(1, 53) / 100, atol=1e-6)
            assert track.start == 36000 + Fraction(250, 60000) and track.pts is None


def test_rows_without_a_face_leave_a_gap_and_midnight_is_no_step_back() -> None:
    content = to_csv(CoefficientTrack(any_track(4).values, start=Fraction(86400) - Fraction(2, 60))).decode()
    lines = content.splitlines()
    lines[2] = lines[2].split(",")[0] + ",0" + "," * 61
    track = from_csv("\n".join(lines).encode(), "take.csv")
    assert [track.time(row) for row in range(3)] == [0, Fraction(2, 60), Fraction(3, 60)]
    filled = track.at()
    assert len(filled) == 4
    np.testing.assert_allclose(filled.values[1], (track.values[0] + track.values[1]) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda text: "", "header"),
        (lambda text: "a,b,c\n1,2,3\n", "header"),
        (lambda text: text.replace("JawOpen", "Jaw"), "jawopen"),
        (lambda text: text.replace("JawLeft", "JawRight"), "twice"),
        (lambda text: text.splitlines()[0], "no row"),
        (lambda text: text.replace("00:00:00:01.000", "soon"), "line 3"),
        (lambda text: text.replace("00:00:00:01.000", "00:00:00:00.000"), "line 3"),
        (lambda text: text[: len(text) - 200], "line 4"),
        (lambda text: text.replace(",61,", ",61,nan", 1), "line 2"),
    ],
)
def test_what_is_no_take_is_named_in_one_line(change, word) -> None:
    with pytest.raises(DataError) as caught:
        from_csv(change(to_csv(any_track(3)).decode()).encode(), "take.csv")
    assert word in str(caught.value) and "take.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(DataError):
        from_csv(b"\xff\xfe\x00\x01", "take.csv")


@needs_shared
@pytest.mark.parametrize("name", ["neutral", "angry", "sad", "speech"])
def test_real_takes_come_back_as_they_were(name: str) -> None:
    path = Path(SHARED) / "data" / "mocap" / f"livelink-{name}.csv"
    content = path.read_bytes()
    real, ours = own_reader(content), own_reader(to_csv(from_csv(content, path.name)))
    assert len(real) == len(ours)
    for one, other in zip(real, ours, strict=True):
        assert one["Timecode"] == other["Timecode"]
        for column in APP_CSV + TURNS:
            assert float(one[column]) == pytest.approx(float(other[column]), abs=1e-7)
    steady = from_csv(content, path.name).at()
    assert steady.pts is None and len(steady) >= len(real)


GOLDEN = (
    "06"
    "00000024" + b"01234567-89AB-CDEF-0123-456789ABCDEF".hex() + "00000006"
    "e58fa3e59e8b"  # a name of 2 characters and 6 bytes
    "00034bc1" "3f000000" "0000003c" "00000001" "3d"
)  # fmt: skip


def golden() -> tuple[Packet, bytes]:
    values = np.zeros(52, np.float32)
    values[UNREAL_ENUM.index("JawOpen")], values[UNREAL_ENUM.index("MouthLeft")] = 0.5, 1.0
    turns = np.zeros(9, np.float32)
    turns[TURNS.index("HeadPitch")] = -0.25
    device = "01234567-89AB-CDEF-0123-456789ABCDEF"
    numbers = ["00000000"] * 61
    numbers[17], numbers[21], numbers[53] = "3f000000", "3f800000", "be800000"
    return Packet(device, "口型", 216001, 0.5, Fraction(60), values, turns), bytes.fromhex(GOLDEN + "".join(numbers))


def test_a_packet_byte_by_byte() -> None:
    packet, content = golden()
    assert encode(packet) == content
    back = decode(content)
    assert (back.device, back.subject, back.frame, back.subframe, back.rate) == (
        packet.device,
        packet.subject,
        216001,
        0.5,
        60,
    )
    np.testing.assert_array_equal(back.values, packet.values)
    np.testing.assert_array_equal(back.rotations, packet.rotations)


def test_a_packet_without_a_face_ends_after_its_header() -> None:
    packet, content = golden()
    short = Packet(packet.device, packet.subject, packet.frame, packet.subframe, packet.rate, None, None)
    assert encode(short) == content[: -1 - 61 * 4]
    assert decode(encode(short)).values is None


def test_cut_or_foreign_packets_are_refused() -> None:
    _, content = golden()
    whole_header = len(content) - 1 - 61 * 4
    for length in range(len(content)):
        if length != whole_header:
            with pytest.raises(ValueError):
                decode(content[:length])
    for wrong in (b"\x05" + content[1:], content[:1] + b"\x7f\xff\xff\xff" + content[5:], content + b"\0"):
        with pytest.raises(ValueError):
            decode(wrong)
    zero_rate = bytearray(content)
    zero_rate[whole_header - 4 : whole_header] = struct.pack(">i", 0)
    with pytest.raises(ValueError):
        decode(bytes(zero_rate))


def test_our_names_are_the_enums() -> None:
    assert [name[0].upper() + name[1:] for name in COEFFICIENTS + ROTATIONS] == UNREAL_ENUM + TURNS
