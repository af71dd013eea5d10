"""OSC byte by byte, and any bytes at all."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.export import osc, vmc
from kouxing.export.osc import Message, bundle, decode, encode

VALUE = b"/VMC/Ext/Blend/Val\0\0" + b",sf\0" + b"JawOpen\0" + b"\x3f\x00\x00\x00"
APPLY = b"/VMC/Ext/Blend/Apply\0\0\0\0" + b",\0\0\0"
HEAD = b"/VMC/Ext/Bone/Pos\0\0\0" + b",sfffffff\0\0\0" + b"Head\0\0\0\0" + struct.pack(">7f", 0, 0.1, 0, 0, 0, 0.6, 0.8)
BUNDLE = (
    b"#bundle\0" + struct.pack(">Q", 1) + struct.pack(">i", len(VALUE)) + VALUE + struct.pack(">i", len(APPLY)) + APPLY
)


def test_messages_and_bundles_byte_by_byte() -> None:
    assert decode(VALUE) == [Message("/VMC/Ext/Blend/Val", ("JawOpen", 0.5))]
    assert decode(BUNDLE) == [Message("/VMC/Ext/Blend/Val", ("JawOpen", 0.5)), Message("/VMC/Ext/Blend/Apply", ())]
    assert bundle([VALUE, APPLY]) == BUNDLE
    assert decode(b"/a\0\0") == [Message("/a", ())]
    every = b"/a\0\0,sifdhTFNb\0\0" + b"x\0\0\0" + struct.pack(">ifdq", -1, 0.5, 0.25, 2**40) + b"\0\0\0\3abc\0"
    assert decode(every)[0].values == ("x", -1, 0.5, 0.25, 2**40, True, False, None, b"abc")


def test_a_bone_of_a_body() -> None:
    (told,) = decode(HEAD)
    name, pose = vmc.bone(told)
    assert name == "Head" and pose == pytest.approx((0, 0.1, 0, 0, 0, 0.6, 0.8))
    assert vmc.message(vmc.BONE, "Head", 0.0, pose[1], 0.0, 0.0, 0.0, pose[5], pose[6]) == HEAD
    assert vmc.bone(Message(vmc.BONE, ("Tail", *pose))) is None
    assert vmc.bone(Message(vmc.ROOT, ("root", *pose))) is None and vmc.root(Message(vmc.ROOT, ("root", *pose))) == pose
    # Rotations come a little off the unit length.
    assert vmc.bone(Message(vmc.BONE, ("Head", 1.0, 2.0, 3.0, *(0.6,) * 4)))[1] == pytest.approx((1, 2, 3, *(0.5,) * 4))
    # Version 2.1 adds a scale and an offset.
    assert vmc.root(Message(vmc.ROOT, ("root", *pose, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0))) == pose


def test_all_of_unitys_bones_with_both_hands() -> None:
    assert len(vmc.BONES) == len(set(vmc.BONES)) == 55
    assert sum(name.endswith(("Proximal", "Intermediate", "Distal")) for name in vmc.BONES) == 30
    assert {"LeftLittleDistal", "RightThumbProximal", "UpperChest", "Jaw"} <= set(vmc.BONES)


@pytest.mark.parametrize(
    "values",
    [
        ("Head",),
        ("Head", *(0.0,) * 6),
        ("Head", *(0.0,) * 7),
        ("Head", float("nan"), *(0.0,) * 5, 1.0),
        ("Head", 1e6, *(0.0,) * 5, 1.0),
        ("Head", "a", *(0.0,) * 5, 1.0),
        ("Head", *(0.0,) * 6, 5.0),
    ],
)
def test_bones_that_are_none_are_refused(values: tuple) -> None:
    with pytest.raises(ValueError):
        vmc.bone(Message(vmc.BONE, values))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"VMC", b"/a", b"/a\0\0,f\0\0", b"/a\0\0,q\0\0", b"/a\0\0,s\0\0abcd", b"/a\0\0x\0\0\0",
        b"/\xff\0\0,\0\0\0",
        b"#bundle\0", b"#bundle\0" + bytes(8) + b"\0\0\0\5abc", b"#bundle\0" + bytes(8) + b"\xff\xff\xff\xff",
        b"/a\0\0,b\0\0\x7f\xff\xff\xff",
    ],
)  # fmt: skip
def test_what_is_no_osc_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        decode(content)


def test_bundles_in_bundles_end_somewhere() -> None:
    deep = VALUE
    for _ in range(osc.DEEPEST + 1):
        deep = bundle([deep])
    with pytest.raises(ValueError, match="deeper"):
        decode(deep)
    with pytest.raises(ValueError, match="more than"):
        decode(bundle([APPLY] * (osc.MOST + 1)))


@given(st.binary(max_size=200))
def test_any_bytes_give_messages_or_a_value_error(content: bytes) -> None:
    try:
        assert decode(content)
    except ValueError:
        return


@given(
    st.text("abcXYZ/口", max_size=20),
    st.lists(st.one_of(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9),
                       st.integers(-(2**31), 2**31 - 1), st.floats(width=32, allow_nan=False)), max_size=6),
    st.data(),
)  # fmt: skip
def test_what_was_written_is_read_and_no_damage_escapes(address: str, values: list, data: st.DataObject) -> None:
    written = encode(f"/{address}", *values)
    assert len(written) % 4 == 0 and decode(written) == [Message(f"/{address}", tuple(values))]
    damaged = bytearray(bundle([written, VALUE]))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    except ValueError:
        return
