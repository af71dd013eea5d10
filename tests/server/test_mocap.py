"""Capture devices: what they send is read under the right names; garbage, strangers and floods disturb nothing."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.arkit import PLACE, ROTATIONS
from kouxing.errors import DataError, OptionError
from kouxing.export import files
from kouxing.export.vmc import BONES
from kouxing.server import mocap, mocap_decoders, protocol
from kouxing.server.mocap import Receiver, Source, open_captures, source
from kouxing.server.mocap_decoders import Decoder, Facial, Foreign, LiveLink, Vmc, facial
from kouxing.server.mocap_frames import Capture, Frame
from server.mocap_world import FACIAL, MOTION3D, Wire, any_values, face, livelink, until, vmc
from shared import SHARED, needs_shared

POSE = (0.0, 0.1, 0.0, 0.0, 0.0, 0.6, 0.8)


def value(frame: Frame | None, name: str) -> float:
    assert frame is not None
    return float(frame.values[PLACE[name]])


# Live Link Face


def test_live_link_is_read_by_name() -> None:
    turns = tuple((place + 1) / 10 for place in range(9))
    frame = LiveLink().take(livelink(face(JawOpen=0.5, MouthLeft=0.25, TongueOut=1.0), turns), 7.0)
    assert (value(frame, "jawOpen"), value(frame, "mouthLeft"), value(frame, "tongueOut")) == (0.5, 0.25, 1.0)
    assert frame.time_s == 7.0 and frame.values.sum() == 1.75
    assert dict(zip(ROTATIONS, frame.rotations.tolist(), strict=True))["headPitch"] == pytest.approx(0.2)


def test_turns_that_were_counted_on_come_within_half_a_turn() -> None:
    frame = LiveLink().take(livelink(face(JawOpen=0.5), (7.0, -7.0, 3.0, *[0.0] * 6)), 7.0)
    assert frame is not None and frame.rotations is not None
    assert frame.rotations[:3] == pytest.approx([7 - 2 * np.pi, 2 * np.pi - 7, 3.0], abs=1e-5)
    rows = protocol.Rows(np.zeros(1, np.int64), frame.values[None], False, frame.rotations[None])
    sent = protocol.encode(protocol.Frame(protocol.Kind.ROWS, protocol.rows_bytes(rows), 0, 1))
    assert len(protocol.read_rows(protocol.decode(sent)).values) == 1


def test_live_link_without_a_face_gives_no_frame_and_calibrated_values_are_cut() -> None:
    read = LiveLink()
    assert read.take(livelink(None), 0.0) is None
    frame = read.take(livelink(face(JawOpen=1.01, CheekPuff=-0.02)), 0.1)
    assert value(frame, "jawOpen") == 1.0 and value(frame, "cheekPuff") == 0.0


def test_one_phone_at_a_time() -> None:
    read = LiveLink()
    assert read.take(livelink(face(JawOpen=0.5), subject="A"), 0.0) is not None
    with pytest.raises(Foreign):
        read.take(livelink(face(), subject="B"), 1.9)
    # A has been silent: B may take over.
    assert read.take(livelink(face(), subject="B"), 2.1) is not None
    with pytest.raises(Foreign):
        LiveLink("A").take(livelink(face(), subject="B"), 0.0)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_live_link_with_numbers_that_are_none(number: float) -> None:
    with pytest.raises(ValueError):
        LiveLink().take(livelink(face(JawOpen=number)), 0.0)
    with pytest.raises(ValueError):
        LiveLink().take(livelink(face(), (number,) * 9), 0.0)


@needs_shared
def test_angles_turn_as_the_look_coefficients_say() -> None:
    """To the person's right and down is positive, in all real takes."""
    for name in ("neutral", "angry", "sad", "speech"):
        track = files.read(SHARED / "data" / "mocap" / f"livelink-{name}.csv")
        angles = dict(zip(ROTATIONS, track.rotations.T, strict=True))
        right = track.column("eyeLookInLeft") - track.column("eyeLookOutLeft")
        down = track.column("eyeLookDownLeft") - track.column("eyeLookUpLeft")
        assert np.corrcoef(angles["leftEyeYaw"], right)[0, 1] > 0.9
        assert np.corrcoef(angles["leftEyePitch"], down)[0, 1] > 0.9


# iFacialMocap and Facemotion3D


def test_ifacialmocap_is_read_by_name() -> None:
    values, known, turns = facial(FACIAL)
    named = {name: float(values[place]) for name, place in PLACE.items() if values[place]}
    assert named == pytest.approx({
        "mouthUpperUpLeft": 0.11, "mouthClose": 0.08, "eyeBlinkRight": 0.07, "eyeBlinkLeft": 1.0, "browDownLeft": 0.03,
        "mouthLeft": 0.01, "jawOpen": 0.12,
    })  # fmt: skip
    assert known.sum() == 12 and known[PLACE["tongueOut"]] and not known[PLACE["cheekPuff"]]
    told = dict(zip(ROTATIONS, np.degrees(turns).tolist(), strict=True))
    assert told["headPitch"] == pytest.approx(-21.488958) and told["headYaw"] == pytest.approx(6.038993)
    assert told["leftEyePitch"] == pytest.approx(6.034903) and told["rightEyeYaw"] == pytest.approx(-2.4403017)
    assert told["leftEyeRoll"] == pytest.approx(0.17520553)


def test_its_other_versions_are_read_too() -> None:
    values, known, _ = facial(MOTION3D)
    assert values[PLACE["eyeBlinkLeft"]] == pytest.approx(0.29) and values[PLACE["mouthPressRight"]] == pytest.approx(
        0.14
    )
    assert known.sum() == 3
    values, _, turns = facial(b"jawOpen&55|eyeBlink_L&20|")
    assert values[PLACE["jawOpen"]] == pytest.approx(0.55) and turns is None
    assert Facial().take(FACIAL.replace(b"trackingStatus-1", b"trackingStatus-0"), 0.0) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"|", b"hello", b"jawOpen", b"jawOpen-x|", b"\xff\xfe|", FACIAL + b"rm -rf|", b"=head#1,2,3|", b"unknown-3|",
     b"jawOpen-5|=head#1,2|", b"jawOpen-5|=head#1e999,0,0|", b"jawOpen-5|=head#1,2,nan|", b"jawOpen-5|" * 1000],
)  # fmt: skip
def test_what_is_no_face_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        Facial().take(content, 0.0)


# VMC


def test_vmc_gives_a_face_at_apply() -> None:
    read = Vmc()
    assert read.take(vmc("/VMC/Ext/Blend/Val", "JawOpen", 0.5), 0.0) is None
    assert read.take(vmc("/VMC/Ext/Blend/Val", "eyeBlinkLeft", 1.5), 0.0) is None
    frame = read.take(vmc("/VMC/Ext/Blend/Apply"), 0.1)
    assert value(frame, "jawOpen") == 0.5 and value(frame, "eyeBlinkLeft") == 1.0 and frame.time_s == 0.1
    assert frame.known.sum() == 2
    # What is not told again holds.
    read.take(vmc("/VMC/Ext/Blend/Val", "JawOpen", 0.25), 0.2)
    frame = read.take(vmc("/VMC/Ext/Blend/Apply"), 0.2)
    assert (value(frame, "jawOpen"), value(frame, "eyeBlinkLeft")) == (0.25, 1.0)


def test_vrms_own_expressions_stand_in_for_arkits() -> None:
    read = Vmc()
    for name, number in (("A", 1.0), ("Blink_L", 1.0), ("Joy", 0.5), ("Neutral", 1.0)):
        read.take(vmc("/VMC/Ext/Blend/Val", name, number), 0.0)
    frame = read.take(vmc("/VMC/Ext/Blend/Apply"), 0.0)
    assert value(frame, "jawOpen") > 0.2 and value(frame, "eyeBlinkLeft") == 1 and value(frame, "eyeBlinkRight") == 0
    assert value(frame, "mouthSmileLeft") == pytest.approx(0.35) and not frame.known[PLACE["cheekPuff"]]
    # A sender that has both means ARKit's.
    read.take(vmc("/VMC/Ext/Blend/Val", "JawOpen", 0.0), 0.1)
    assert value(read.take(vmc("/VMC/Ext/Blend/Apply"), 0.1), "jawOpen") == 0
    assert Vmc().take(vmc("/VMC/Ext/Blend/Apply"), 0.0) is None


def test_body_and_fingers_come_through_and_age() -> None:
    read = Vmc()
    for name in BONES:
        read.take(vmc("/VMC/Ext/Bone/Pos", name, *POSE), 1.0)
    read.take(vmc("/VMC/Ext/Root/Pos", "root", *POSE), 1.0)
    read.take(vmc("/VMC/Ext/Bone/Pos", "Head", *POSE), 1.4)
    body = read.body(1.3)
    assert set(body.bones) == set(BONES) and body.bones["LeftLittleDistal"] == pytest.approx(POSE)
    assert body.root == pytest.approx(POSE)
    assert set(read.body(1.7).bones) == {"Head"} and read.body(1.7).root is None and not read.body(9.0).bones


def test_a_datagram_with_a_fault_changes_nothing() -> None:
    from kouxing.export.osc import bundle

    read = Vmc()
    read.take(vmc("/VMC/Ext/Blend/Val", "JawOpen", 0.5), 0.0)
    with pytest.raises(ValueError):
        read.take(bundle([vmc("/VMC/Ext/Blend/Val", "JawOpen", 0.9), vmc("/VMC/Ext/Bone/Pos", "Head", 0.0)]), 0.0)
    assert value(read.take(vmc("/VMC/Ext/Blend/Apply"), 0.0), "jawOpen") == 0.5 and not read.body(0.0).bones


def test_names_do_not_pile_up() -> None:
    read = Vmc()
    for number in range(5000):
        read.take(vmc("/VMC/Ext/Blend/Val", f"name{number}", 0.5), 0.0)
    assert len(read._named) <= 256
    for number in range(5000):
        read.take(vmc("/VMC/Ext/Bone/Pos", f"bone{number}", *POSE), 0.0)
    assert not read._bones


def test_a_value_beyond_all_sense_changes_nothing() -> None:
    def double(value: float) -> bytes:
        head = b"/VMC/Ext/Blend/Val\0\0,sd\0jawOpen\0"
        return head + struct.pack(">d", value)

    read = Vmc()
    read.take(vmc("/VMC/Ext/Blend/Val", "JawOpen", 0.5), 0.0)
    for value in (1e300, -1e300, 1e30):
        with pytest.raises(ValueError, match="sensible"):
            read.take(double(value), 1.0)
    frame = read.take(vmc("/VMC/Ext/Blend/Apply"), 2.0)
    assert frame is not None and frame.values[PLACE["jawOpen"]] == 0.5


# All of them

REAL = [
    livelink(face(JawOpen=0.5)), FACIAL, MOTION3D, vmc("/VMC/Ext/Blend/Val", "JawOpen", 0.5),
    vmc("/VMC/Ext/Blend/Apply"), vmc("/VMC/Ext/Bone/Pos", "Head", *POSE), vmc("/VMC/Ext/Root/Pos", "root", *POSE),
]  # fmt: skip


@given(st.sampled_from([LiveLink, Facial, Vmc]), st.lists(st.one_of(
    st.binary(max_size=400),
    st.tuples(st.sampled_from(REAL), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)).map(
        lambda told: damaged(*told)
    ),
), min_size=1, max_size=6))  # fmt: skip
def test_any_datagrams_give_whole_frames_or_value_errors(kind: type[Decoder], contents: list[bytes]) -> None:
    read = kind()
    for number, content in enumerate(contents):
        try:
            frame = read.take(content, float(number))
        except ValueError:
            continue
        if frame is not None:
            assert frame.values.shape == (52,) and frame.values.min() >= 0 and frame.values.max() <= 1
            assert frame.rotations is None or np.isfinite(frame.rotations).all()
        assert all(np.isfinite(pose).all() for pose in read.body(float(number)).bones.values())


def damaged(content: bytes, faults: list[tuple[int, int]]) -> bytes:
    made = bytearray(content)
    for place, byte in faults:
        if place < len(made):
            made[place] = byte
        else:
            made = made[: place % len(content)]
    return bytes(made)


# Addresses


def test_addresses() -> None:
    assert source("livelink://") == Source("livelink", "127.0.0.1", 11111)
    assert source("vmc://0.0.0.0:0?from=192.168.1.20") == Source("vmc", "0.0.0.0", 0, sender="192.168.1.20")
    assert source("livelink://[::1]:9?subject=Ann") == Source("livelink", "::1", 9, subject="Ann")
    assert source("ifacialmocap://192.168.1.20") == Source("ifacialmocap", "192.168.1.20", 49983)
    assert source("facemotion3d://phone?listen=5").listen == 5


@pytest.mark.parametrize(
    "url",
    ["livelink", "http://x", "livelink://x:99999", "livelink://x:y", "livelink://x/path", "vmc://a@x", "vmc://[x",
     "vmc://?subject=a", "vmc://?from=phone", "livelink://?", "ifacialmocap://", "ifacialmocap://p:0",
     "ifacialmocap://p?listen=70000", "ifacialmocap://p?from=1.2.3.4", "vmc://?from"],
)  # fmt: skip
def test_wrong_addresses_are_named_in_one_line(url: str) -> None:
    if url == "livelink://?":
        assert source(url).port == 11111
        return
    with pytest.raises(OptionError) as caught:
        source(url)
    assert "--capture" in str(caught.value) and "\n" not in str(caught.value)


def test_ports_that_are_taken_and_addresses_of_others() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        for url in (f"vmc://127.0.0.1:{other.getsockname()[1]}", "vmc://192.0.2.1:0", "vmc://no-such-host.invalid"):
            with pytest.raises(OptionError, match="--capture"):
                open_captures([url])
    with pytest.raises(DataError):
        open_captures(["vmc://127.0.0.1:0", "no-such-take.csv"])


# Real sockets


@pytest.fixture
def link() -> Iterator[Receiver]:
    made = Receiver(source("livelink://127.0.0.1:0")).start()
    yield made
    made.close()


def test_a_real_socket_gives_frames_amid_garbage(link: Receiver) -> None:
    wire = Wire(link.port)
    chance = np.random.default_rng(0)
    for number in range(30):
        wire.send(chance.bytes(int(chance.integers(0, 300))), livelink(face(JawOpen=number / 30)))
    until(lambda: link.counts.packets == 60)
    assert (link.counts.frames, link.counts.bad, link.counts.foreign) == (30, 30, 0)
    assert value(link.face.latest(), "jawOpen") == pytest.approx(29 / 30)
    wire.close()


def test_strangers_are_counted() -> None:
    link = Receiver(source("livelink://127.0.0.1:0?from=127.0.0.9")).start()
    wire = Wire(link.port)
    wire.send(livelink(face(JawOpen=0.5)), b"garbage")
    until(lambda: link.counts.packets == 2)
    assert link.counts.foreign == 2 and link.face.latest() is None
    wire.close()
    link.close()


def test_a_phone_is_greeted_until_it_sends_and_again_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mocap, "HELLO_EVERY_S", 0.05)
    monkeypatch.setattr(mocap, "WAKE_S", 0.01)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(10)
        link = Receiver(source(f"ifacialmocap://127.0.0.1:{phone.getsockname()[1]}?listen=0")).start()
        for _ in range(2):
            content, asker = phone.recvfrom(200)
            assert content == b"iFacialMocap_sahuasouryya9218sauhuiayeta91555dy3719" and asker[1] == link.port
        phone.sendto(FACIAL, asker)
        until(lambda: link.counts.frames == 1)
        assert value(link.face.latest(), "jawOpen") == pytest.approx(0.12)
        phone.recvfrom(200)
    # The phone is gone: refusals of our greetings end nothing.
    link.greet(1e12)
    link.close()


def test_a_hub_joins_sources_and_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mocap_decoders, "BODY_FRESH_S", 60.0)
    with open_captures(["vmc://127.0.0.1:0", "vmc://127.0.0.1:0", "livelink://127.0.0.1:0"]) as hub:
        first, second, link = (one for one in hub._sources if isinstance(one, Receiver))
        wires = [Wire(one.port) for one in (first, second, link)]
        wires[1].send(vmc("/VMC/Ext/Bone/Pos", "Head", *POSE), vmc("/VMC/Ext/Bone/Pos", "Hips", *POSE))
        wires[0].send(vmc("/VMC/Ext/Bone/Pos", "Head", 1.0, *POSE[1:]))
        wires[2].send(livelink(face(JawOpen=1.0)))
        until(lambda: sum(one["packets"] for one in hub.counts().values()) == 4)
        body = hub.body()
        assert body.bones["Head"][0] == 1.0 and body.bones["Hips"][0] == 0.0
        assert [one.latest() is not None for one in hub.faces] == [False, False, True]
        for wire in wires:
            wire.close()


class Flood:
    """A socket from which datagrams come as fast as they are asked for."""

    def __init__(self, content: bytes, most: int) -> None:
        self._left, self._content = most, content

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        if not self._left:
            raise TimeoutError
        self._left -= 1
        return self._content, ("127.0.0.1", 1)

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        return len(data)

    def settimeout(self, seconds: float | None) -> None: ...

    def close(self) -> None: ...


def test_a_flood_is_bounded() -> None:
    now = [0.0]
    read = Receiver(source("vmc://"), clock=lambda: now[0], open_socket=lambda _: (Flood(b"x", 10), None))
    pauses = [read.pause(100, now[0]) for _ in range(2000)]
    assert not any(pauses[:1500]) and pauses[1500] == pytest.approx(0.1) and read.counts.flood == 500
    now[0] = 0.11
    assert read.pause(100, now[0]) == 0 and read.pause(10**6, now[0]) > 0
    # A whole body at 60 fps, one message a datagram, passes.
    calm = Receiver(source("vmc://"), clock=lambda: now[0], open_socket=lambda _: (Flood(b"x", 10), None))
    for packet in range(60 * 115):
        now[0] = 1 + packet / (60 * 115)
        assert calm.pause(70, now[0]) == 0


# History


def test_history_is_linear_between_frames_and_holds_the_last() -> None:
    capture = Capture()
    assert capture.at(np.array([0.0])) is None
    for number in range(5):
        turns = np.full(9, 3.1 if number % 2 else -3.1, np.float32)
        capture.push(Frame(number / 10, np.full(52, number / 10, np.float32), turns))
    seen = capture.at(np.array([-1.0, 0.05, 0.2, 0.35, 0.9]))
    np.testing.assert_allclose(seen.values[:, 0], [0.0, 0.05, 0.2, 0.35, 0.4], atol=1e-6)
    np.testing.assert_allclose(seen.age_s, [-1.4, -0.35, -0.2, -0.05, 0.5])
    # The short way round, over pi.
    assert abs(abs(float(seen.rotations[1, 0])) - np.pi) < 0.01


def test_history_is_bounded_and_never_goes_back() -> None:
    capture = Capture()
    for number in range(1000):
        capture.push(Frame(number / 60, any_values(number)))
    last = capture.latest()
    capture.push(Frame(1.0, any_values(0)))
    assert capture.latest() is last and len(capture._frames) == 120
    capture.clear()
    assert capture.latest() is None


@pytest.mark.parametrize(
    "values", [np.zeros(51, np.float32), np.full(52, 2, np.float32), np.full(52, np.nan, np.float32)]
)
def test_frames_that_are_none(values: np.ndarray) -> None:
    with pytest.raises(ValueError):
        Frame(0.0, values)
