"""VMC messages byte by byte, and read by a small OSC parser of the test's own."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from export.world import UNREAL_ENUM
from kouxing.export.vmc import message, messages


def parse(content: bytes) -> tuple[str, list]:
    def text(at: int) -> tuple[str, int]:
        end = content.index(b"\0", at)
        return content[at:end].decode(), (end // 4 + 1) * 4

    address, at = text(0)
    tags, at = text(at)
    values: list = []
    for tag in tags[1:]:
        if tag == "s":
            value, at = text(at)
        else:
            (value,) = struct.unpack_from({"f": ">f", "i": ">i"}[tag], content, at)
            at += 4
        values.append(value)
    assert at == len(content) and at % 4 == 0
    return address, values


@pytest.mark.parametrize(
    ("sent", "content"),
    [
        (
            message("/VMC/Ext/Blend/Val", "JawOpen", 0.5),
            b"/VMC/Ext/Blend/Val\0\0" + b",sf\0" + b"JawOpen\0" + b"\x3f\x00\x00\x00",
        ),
        (message("/VMC/Ext/Blend/Apply"), b"/VMC/Ext/Blend/Apply\0\0\0\0" + b",\0\0\0"),
        (message("/VMC/Ext/OK", 1), b"/VMC/Ext/OK\0" + b",i\0\0" + b"\0\0\0\x01"),
        (message("/VMC/Ext/T", 2.0), b"/VMC/Ext/T\0\0" + b",f\0\0" + b"\x40\x00\x00\x00"),
    ],
)
def test_messages_byte_by_byte(sent: bytes, content: bytes) -> None:
    assert sent == content


def test_a_frame_is_52_values_then_apply() -> None:
    values = np.arange(52, dtype=np.float32) / 64
    read = [parse(one) for one in messages(values, 1.5, {"A": 0.25})]
    told = {where[1][0]: where[1][1] for where in read if where[0] == "/VMC/Ext/Blend/Val"}
    assert told == {name: place / 64 for place, name in enumerate(UNREAL_ENUM)} | {"A": 0.25}
    assert read[53:] == [("/VMC/Ext/Blend/Apply", []), ("/VMC/Ext/OK", [1]), ("/VMC/Ext/T", [1.5])]


def test_what_osc_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError):
        message("/x", True)
    with pytest.raises(TypeError):
        message("/x", b"raw")
