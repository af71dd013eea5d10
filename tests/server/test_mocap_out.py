"""Motion out, live: each row when it is due, bones with it, and nothing of an interrupted past."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from fractions import Fraction

import numpy as np
import pytest

from kouxing.arkit import PLACE, pascal
from kouxing.errors import OptionError
from kouxing.export import osc, vmc
from kouxing.export.livelink import decode
from kouxing.export.send import Sender, target
from kouxing.server.mocap import open_captures
from kouxing.server.mocap_frames import Body
from kouxing.server.mocap_out import MOST_ROWS, MotionOut, check_no_loop
from server.mocap_world import until

POSE = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


class Held:
    """A UDP socket that keeps what is sent, with its time."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, bytes]] = []
        self.fault: OSError | None = None

    def send(self, data: bytes) -> int:
        if self.fault is not None:
            raise self.fault
        self.taken.append((time.monotonic(), data))
        return len(data)

    def close(self) -> None: ...


def motion(protocol: str, held: Held, **given: object) -> MotionOut:
    url = f"{protocol}://"
    return MotionOut([url], senders=[Sender(target(url), open_socket=lambda _: held)], **given)


def rows(count: int, first: int = 0) -> np.ndarray:
    made = np.zeros((count, 52), np.float32)
    made[:, PLACE["jawOpen"]] = (np.arange(count) + first) / 1024
    return made


def jaws(held: Held) -> list[int]:
    return [round(float(decode(data).values[PLACE["jawOpen"]]) * 1024) for _, data in held.taken]


def test_rows_made_ahead_go_out_when_they_are_due() -> None:
    held = Held()
    with motion("livelink", held) as out:
        began = time.monotonic()
        out.feed(rows(12), np.arange(12) / 60 + 40.0, None, present_s=40.0)
        until(lambda: len(held.taken) + out.sent["livelink://"].late == 12)
    assert jaws(held) == sorted(jaws(held)) and len(held.taken) >= 1
    for number, (at, _) in zip(jaws(held), held.taken, strict=True):
        assert at - began >= number / 60 - 0.002
    packets = [decode(data) for _, data in held.taken]
    assert all(packet.rate == 60 and packet.subject == "kouxing" for packet in packets)
    frames = [packet.frame + packet.subframe - number for packet, number in zip(packets, jaws(held), strict=True)]
    assert max(frames) - min(frames) < 0.1


def test_bones_and_rotations_go_along() -> None:
    held, link = Held(), Held()
    body = Body({"Head": POSE, "LeftIndexDistal": POSE}, POSE)
    senders = [
        Sender(target(url), open_socket=lambda _, to=to: to) for url, to in (("vmc://", held), ("livelink://", link))
    ]
    with MotionOut(["vmc://", "livelink://"], body=lambda: body, senders=senders) as out:
        out.feed(rows(1, 512), np.zeros(1), np.full((1, 9), 0.25, np.float32))
        until(lambda: len(link.taken) == 1)
    told = [osc.decode(data)[0] for _, data in held.taken]
    assert (
        vmc.root(told[0]) == POSE and vmc.bone(told[1]) == ("Head", POSE) and vmc.bone(told[2])[0] == "LeftIndexDistal"
    )
    assert dict(vmc.value(one) for one in told[3:55])[pascal("jawOpen")] == 0.5
    assert [one.address for one in told[55:]] == [vmc.APPLY, vmc.OK, vmc.TIME]
    assert decode(link.taken[0][1]).rotations.tolist() == [0.25] * 9


def test_an_interruption_forgets_what_is_not_yet_due() -> None:
    held = Held()
    with motion("livelink", held) as out:
        out.feed(rows(60), 100 + np.arange(60) / 60, None, present_s=98.0)
        out.interrupt()
        out.feed(rows(1, 900), np.array([98.0]), None, present_s=98.0)
        until(lambda: len(held.taken) == 1)
    assert jaws(held) == [900]


def test_clocks_that_jump_begin_anew() -> None:
    held = Held()
    with motion("livelink", held) as out:
        for number, moment in enumerate((5.0, 900.0, 3.0)):
            out.feed(rows(1, number), np.array([moment]))
            until(lambda wanted=number: len(held.taken) > wanted)
    assert jaws(held) == [0, 1, 2]


def test_what_waits_is_bounded_and_late_rows_are_left_out() -> None:
    held, now = Held(), [0.0]
    out = motion("livelink", held, clock=lambda: now[0])
    out.feed(rows(MOST_ROWS + 20), 100 + np.arange(MOST_ROWS + 20) / 60, None, present_s=0.0)
    assert out.dropped == 20 and not held.taken
    # All of them are long over now but for the last tenth of a second.
    now[0] = 100 + (MOST_ROWS + 19) / 60
    with out._news:
        out._news.notify()
    until(lambda: len(held.taken) + out.sent["livelink://"].late == MOST_ROWS)
    assert len(held.taken) == pytest.approx(7, abs=1) and jaws(held)[-1] == MOST_ROWS + 19
    out.close()


def test_nobody_listening_ends_nothing() -> None:
    held = Held()
    held.fault = ConnectionRefusedError()
    with motion("vmc", held) as out:
        out.feed(rows(1), np.zeros(1))
        until(lambda: out.sent["vmc://"].dropped == 1)
        held.fault = None
        out.feed(rows(1), np.array([1 / 60]))
        until(lambda: out.sent["vmc://"].frames == 1)


def test_threads_end_and_wrong_addresses_are_refused() -> None:
    before = threading.active_count()
    for urls in (["vmc://127.0.0.1:9", "http://x"], ["vmc://no-such-host.invalid"]):
        with pytest.raises(OptionError, match="--send"):
            MotionOut(urls)
    MotionOut([]).close()
    assert threading.active_count() == before


def test_what_is_sent_does_not_come_back() -> None:
    check_no_loop(["vmc://", "take.csv"], ["vmc://", "livelink://"])
    # Another machine's port is not ours.
    check_no_loop(["livelink://0.0.0.0"], ["livelink://192.0.2.20", "livelink://nowhere.invalid"])
    for captures, urls in (
        (["vmc://127.0.0.1:39539"], ["vmc://"]),
        (["vmc://127.0.0.1:39540"], ["vmc://localhost:39540"]),
        (["livelink://0.0.0.0"], ["livelink://127.0.0.1"]),
        (["vmc://127.0.0.1:39541", "vmc://127.0.0.2:39541"], ["vmc://127.0.0.1:39541"]),
    ):
        with pytest.raises(OptionError, match="listens there itself"):
            check_no_loop(captures, urls)


def test_out_of_one_server_into_another() -> None:
    """A whole face and body over real sockets: motion out is read back by the receivers."""
    with open_captures(["vmc://127.0.0.1:0", "livelink://127.0.0.1:0"]) as hub:
        ports = [int(name.rsplit(":", 1)[1]) for name in hub.counts()]
        urls = [f"vmc://127.0.0.1:{ports[0]}", f"livelink://127.0.0.1:{ports[1]}"]
        values = np.random.default_rng(0).random((1, 52)).astype(np.float32)
        with MotionOut(urls, body=lambda: Body({"Hips": POSE})) as out:
            out.feed(values, np.zeros(1))
            until(lambda: all(face.latest() is not None for face in hub.faces))
        for face in hub.faces:
            np.testing.assert_array_equal(face.latest().values, values[0])
        assert sum(one["bad"] + one["foreign"] for one in hub.counts().values()) == 0


def test_time_codes_stay_near_the_time_of_day() -> None:
    held = Held()
    with motion("livelink", held) as out:
        out.feed(rows(1), np.zeros(1))
        until(lambda: len(held.taken) == 1)
    packet = decode(held.taken[0][1])
    now = time.localtime()
    seconds = Fraction(packet.frame, 60) - ((now.tm_hour * 60 + now.tm_min) * 60 + now.tm_sec)
    # Midnight may fall between the two clocks' readings.
    assert min(abs(seconds), abs(abs(seconds) - 86400)) < 10


def test_the_time_of_day_has_its_fractions_and_follows_a_clock_that_is_set() -> None:
    held, clock = Held(), [0.0]
    with motion("livelink", held, clock=lambda: clock[0] + time.monotonic()) as out:
        for back in (0.0, 3600.0):
            # As long as this clock stands still, an hour of sleep passes.
            clock[0] = -back
            before = datetime.now()
            out.feed(rows(1), np.zeros(1))
            until(lambda back=back: len(held.taken) == (2 if back else 1))
            moment = float(Fraction(decode(held.taken[-1][1]).frame, 60))
            midnight = before.replace(hour=0, minute=0, second=0, microsecond=0)
            earliest, latest = ((one - midnight).total_seconds() for one in (before, datetime.now()))
            assert earliest - 0.05 <= moment + (86400 if moment < earliest - 43200 else 0) <= latest + 0.05
