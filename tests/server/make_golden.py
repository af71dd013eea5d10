"""Writes ``tests/server/golden``: the protocol's bytes, packed by hand and not by the code under test.

    python tests/server/make_golden.py

``index.json`` lists for each file what it holds; ``refused`` names the error that a server answers it with. The browser
client's tests read the same files.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

PLACE = Path(__file__).parent / "golden"


def frame(kind: int, payload: bytes, time: int = 0, sequence: int = 1, flags: int = 0, **wrong: int) -> bytes:
    """One message; ``wrong`` replaces ``version`` or ``length``."""
    version, length = wrong.get("version", 1), wrong.get("length", len(payload))
    return struct.pack("<BBHIqI", version, kind, flags, sequence, time, length) + payload


def rows(times: list[int], values: list[list[float]], encoding: int) -> bytes:
    """Payload of ROWS."""
    made = struct.pack("<HBB", len(times), 52, encoding) + struct.pack(f"<{len(times)}I", *times)
    for row in values:
        made += struct.pack("<52f", *row) if encoding == 0 else struct.pack("<52H", *(round(v * 65535) for v in row))
    return made


SAMPLES = [0, 1, -1, 256, -32768, 32767, 1000, -1000]
VALUES = [[round(k / 51, 4) for k in range(52)], [round((51 - k) / 51, 4) for k in range(52)]]
EVENT = {"event": "say", "text": "你好, wörld", "language": "cmn", "id": "a1"}
TIMES = [0, 267]
PING = b"\x01\x02\x03\x04"
TURNS = [0.5, -0.25, 0.125, 0.0, 0.0, 0.0, -0.5, 1.0, 0.0]


def files() -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Name -> bytes and what they hold."""
    sound = struct.pack("<8h", *SAMPLES)
    event = json.dumps(EVENT, ensure_ascii=False, separators=(",", ":")).encode()
    two = rows(TIMES, VALUES, 0)
    turned = struct.pack("<HBB", 1, 61, 0) + struct.pack("<I", 0) + struct.pack("<61f", *VALUES[0], *TURNS)
    good: dict[str, tuple[bytes, dict[str, Any]]] = {
        "sound": (frame(1, sound, 16000, 7), {"kind": 1, "time": 16000, "sequence": 7, "flags": 0, "samples": SAMPLES}),
        "sound_made": (
            frame(1, sound, 2**40, 2**32 - 1, 1),
            {"kind": 1, "time": 2**40, "sequence": 2**32 - 1, "flags": 1, "samples": SAMPLES},
        ),
        "rows_float32": (
            frame(2, two, 3200, 8),
            {"kind": 2, "time": 3200, "sequence": 8, "flags": 0, "times": [3200, 3467], "values": VALUES},
        ),
        "rows_u16_rest": (
            frame(2, rows(TIMES, VALUES, 1), 3200, 9, 1),
            {"kind": 2, "time": 3200, "sequence": 9, "flags": 1, "times": [3200, 3467], "values": VALUES},
        ),
        "rows_turned": (
            frame(2, turned, 3200, 11),
            {"kind": 2, "time": 3200, "sequence": 11, "flags": 0, "times": [3200], "values": VALUES[:1],
             "turns": [TURNS]},
        ),
        "event": (frame(3, event, 0, 10), {"kind": 3, "time": 0, "sequence": 10, "flags": 0, "event": EVENT}),
        "ping": (frame(4, PING, 0, 0), {"kind": 4, "time": 0, "sequence": 0, "flags": 0, "bytes": [*PING]}),
        "pong": (frame(5, PING, 999, 0), {"kind": 5, "time": 999, "sequence": 0, "flags": 0, "bytes": [*PING]}),
    }  # fmt: skip
    bad = {
        "bad_empty": (b"", "malformed"),
        "bad_short": (frame(1, sound)[:19], "malformed"),
        "bad_version": (frame(1, sound, version=2), "version"),
        "bad_text": (b'{"event": "interrupt"}', "malformed"),
        "bad_type": (frame(9, sound), "malformed"),
        "bad_flags": (frame(1, sound, flags=0x8000), "malformed"),
        "bad_length": (frame(1, sound, length=17), "malformed"),
        "bad_time": (frame(1, sound, time=-1), "malformed"),
        "bad_sequence": (frame(1, sound, sequence=0), "malformed"),
        "bad_half_sample": (frame(1, sound[:-1]), "malformed"),
        "bad_no_sound": (frame(1, b""), "malformed"),
        "bad_long_sound": (frame(1, b"\0" * 32002), "malformed"),
        "bad_rows_count": (frame(2, struct.pack("<HBB", 3, 52, 0) + two[4:]), "malformed"),
        "bad_rows_none": (frame(2, struct.pack("<HBB", 0, 52, 0)), "malformed"),
        "bad_rows_width": (frame(2, struct.pack("<HBB", 2, 51, 0) + two[4:]), "malformed"),
        "bad_rows_times": (frame(2, rows([5, 0], VALUES, 0)), "malformed"),
        "bad_rows_nan": (frame(2, rows([0], [[float("nan")] * 52], 0)), "malformed"),
        "bad_rows_range": (frame(2, rows([0], [[1.5] * 52], 0)), "malformed"),
        "bad_event_json": (frame(3, b"{"), "malformed"),
        "bad_event_list": (frame(3, b"[]"), "malformed"),
        "bad_event_nameless": (frame(3, b"{}"), "malformed"),
        "bad_event_utf16": (frame(3, '{"event":"end"}'.encode("utf-16")), "malformed"),
        "bad_event_nan": (frame(3, b'{"event":"mood","mouth":NaN}'), "malformed"),
        "bad_event_surrogate": (frame(3, b'{"event":"say","text":"\\ud800"}'), "malformed"),
    }  # fmt: skip
    return {**good, **{name: (data, {"refused": code}) for name, (data, code) in bad.items()}}


def main() -> None:
    """Write them all."""
    PLACE.mkdir(exist_ok=True)
    index = {}
    for name, (data, told) in files().items():
        (PLACE / f"{name}.bin").write_bytes(data)
        index[f"{name}.bin"] = told
    (PLACE / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
