"""Live senders: the pace holds whatever the clock and the network do."""

from __future__ import annotations

import errno
import socket
from itertools import cycle

import numpy as np
import pytest

from export.world import Clock, Wire, any_track
from kouxing.errors import OptionError
from kouxing.export.livelink import decode
from kouxing.export.send import Pacer, Sender, connect, send_track, target
from kouxing.types import CoefficientTrack

LINK = target("livelink://")


def long_track(rows: int) -> CoefficientTrack:
    return CoefficientTrack(np.zeros((rows, 52), np.float32))


def test_addresses() -> None:
    assert str(target("vmc://")) == "vmc://127.0.0.1:39539"
    assert str(target("livelink://studio")) == "livelink://studio:11111"
    assert str(target("vmc://[::1]:9000")) == "vmc://[::1]:9000"


@pytest.mark.parametrize(
    "url",
    ["", "studio", "http://x", "vmc://x:0", "vmc://x:99999", "vmc://x:y", "vmc://a@x", "vmc://x/path", "vmc://[x"],
)
def test_wrong_addresses_are_named_in_one_line(url: str) -> None:
    with pytest.raises(OptionError) as caught:
        target(url)
    assert "--send" in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_host_is_the_users_mistake() -> None:
    with pytest.raises(OptionError, match="host"):
        connect(target("vmc://no-such-host.invalid"))


def test_ten_minutes_of_uneven_sleep_does_not_drift() -> None:
    late = cycle([0.0, 0.0004, 0.003, 0.0001, 0.011])
    clock = Clock(lambda: next(late))
    wire = Wire(clock)
    rows = 60 * 600
    with Sender(LINK, open_socket=lambda _: wire) as sender:
        sent = send_track(long_track(rows), sender, Pacer(clock=clock, sleep=clock.sleep))
    assert (sent.frames, sent.late, sent.dropped) == (rows, 0, 0) and wire.closed
    delays = [at - 1000.0 - number / 60 for number, (at, _) in enumerate(wire.taken)]
    assert min(delays) >= -1e-6 and max(delays) < 0.012
    assert sent.worst_late_ms == pytest.approx(11, abs=0.1)


def test_a_stall_costs_its_frames_and_nothing_after() -> None:
    clock = Clock()

    def stall(number: int) -> None:
        if number == 100:
            clock.now += 0.5

    wire = Wire(clock, stall)
    sent = send_track(long_track(600), Sender(LINK, open_socket=lambda _: wire), Pacer(clock=clock, sleep=clock.sleep))
    assert sent.late == pytest.approx((0.5 - 0.1) * 60, abs=1) and sent.frames + sent.late == 600
    assert 50 < sent.worst_late_ms <= 100
    last_at, last = wire.taken[-1]
    assert last_at - 1000 == pytest.approx(599 / 60, abs=1e-6)
    packet = decode(last)
    assert (packet.frame, packet.rate) == (599, 60)


def test_lost_frames_are_counted_and_the_clock_kept() -> None:
    clock = Clock()

    def full(number: int) -> None:
        if number % 3 == 0:
            raise BlockingIOError(errno.EAGAIN, "full")

    wire = Wire(clock, full)
    sent = send_track(long_track(90), Sender(LINK, open_socket=lambda _: wire), Pacer(clock=clock, sleep=clock.sleep))
    assert (sent.frames, sent.dropped, sent.late) == (60, 30, 0)
    assert wire.taken[-1][0] - 1000 == pytest.approx(88 / 60, abs=1e-6)


def test_nobody_listening_is_noted_and_sending_goes_on() -> None:
    def refuse(number: int) -> None:
        if number % 2 == 0:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    wire, clock = Wire(fault=refuse), Clock()
    sent = send_track(long_track(20), Sender(LINK, open_socket=lambda _: wire), Pacer(clock=clock, sleep=clock.sleep))
    assert sent.frames == sent.packets == 20 and sent.refused == 19 and sent.dropped == 0
    assert sent.unheard


def test_a_receiver_that_comes_late_was_heard() -> None:
    refused: list[int] = []

    def refuse(number: int) -> None:
        if number % 2 == 0 and number < 20:
            refused.append(number)
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    wire, clock = Wire(fault=refuse), Clock()
    sent = send_track(long_track(40), Sender(LINK, open_socket=lambda _: wire), Pacer(clock=clock, sleep=clock.sleep))
    assert sent.frames == 40 and sent.refused == len(refused) > 5 and not sent.unheard


def test_no_way_out_is_unheard_and_the_clock_kept() -> None:
    def lost(number: int) -> None:
        raise OSError(errno.ENETUNREACH, "no route")

    wire, clock = Wire(fault=lost), Clock()
    began = clock.now
    sent = send_track(long_track(60), Sender(LINK, open_socket=lambda _: wire), Pacer(clock=clock, sleep=clock.sleep))
    assert (sent.frames, sent.dropped, sent.packets) == (0, 60, 0) and sent.unheard
    assert clock.now - began == pytest.approx(59 / 60, abs=1e-6)


def test_a_real_closed_port_on_this_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    clock = Clock()
    with Sender(target(f"vmc://127.0.0.1:{port}")) as sender:
        sent = send_track(long_track(5), sender, Pacer(clock=clock, sleep=clock.sleep))
    assert sent.frames + sent.dropped == 5


def test_a_real_receiver_gets_the_values() -> None:
    track, clock = any_track(3), Clock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(2)
        place = target(f"livelink://127.0.0.1:{receiver.getsockname()[1]}")
        with Sender(place, subject="口") as sender:
            sent = send_track(track, sender, Pacer(clock=clock, sleep=clock.sleep))
        packets = [decode(receiver.recv(4096)) for _ in range(3)]
    assert sent.frames == 3
    for row, packet in enumerate(packets):
        assert packet.subject == "口" and packet.frame == row and len(packet.device) == 36
        np.testing.assert_array_equal(packet.values, track.values[row])
        np.testing.assert_array_equal(packet.rotations, track.rotations[row])


def test_vmc_sends_one_message_a_datagram() -> None:
    wire, clock = Wire(), Clock()
    send_track(
        any_track(2), Sender(target("vmc://"), open_socket=lambda _: wire), Pacer(clock=clock, sleep=clock.sleep)
    )
    assert len(wire.taken) == 2 * (52 + 3)
    assert not any(data.startswith(b"#bundle") for _, data in wire.taken)
