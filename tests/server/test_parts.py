"""The small parts of the live server: clock, bucket, levels, idle motion, faces, queues, frames, hello, guard."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import OptionError
from kouxing.infer.animator import Animator
from kouxing.server import idle, protocol
from kouxing.server.clock import WATCHED_S, SoundClock
from kouxing.server.faces import MOUTH, Face, Manner, look_ahead_ms
from kouxing.server.hello import read_event, read_hello, reason, shares, wish_of
from kouxing.server.limits import Bucket, Limits
from kouxing.server.outlet import Event, Outlet, SoundBlock
from kouxing.server.protocol import Kind, Refused, Rows
from kouxing.server.security import Guard, is_loopback
from kouxing.server.voice import FALL, HANG, Voice
from kouxing.server.wire import Wire
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ
from server.live_world import Hands, mouth, voice


def rows(first: int, count: int, value: float = 0.5) -> Rows:
    times = np.array([protocol.row_time(first + k) for k in range(count)], np.int64)
    return Rows(times, np.full((count, 52), value, np.float32))


# -- time ------------------------------------------------------------------------------------------------------------


def test_the_clock_follows_a_slow_microphone_but_not_the_network() -> None:
    hands = Hands()
    clock = SoundClock(hands)
    end = 0
    for block in range(int(3 * WATCHED_S / 0.02)):
        hands.now += 0.02 * 1.004
        end += 320
        jitter = 0.15 if block % 50 == 0 else 0.0
        hands.now += jitter
        clock.heard(end)
        hands.now -= jitter
    # Without bending, the sound would be 120 ms behind by now.
    assert abs(clock.time - end) < 0.06 * SAMPLE_HZ
    assert clock.time >= end - 0.01 * SAMPLE_HZ


@given(st.lists(st.floats(0, 5), max_size=60))
def test_a_bucket_never_lets_more_through_than_it_says(waits: list[float]) -> None:
    bucket, now, passed = Bucket(10, 20, 0.0), 0.0, 0
    for wait in waits:
        now += wait
        passed += bucket.take(now)
    assert passed <= 20 + 10 * now + 1e-6


# -- the face --------------------------------------------------------------------------------------------------------


def test_pieces_of_any_size_give_the_same_face() -> None:
    sound = protocol.to_float(voice(1.3))[:-77]
    rng = np.random.default_rng(1)

    def made(size: Any) -> tuple[np.ndarray, Float]:
        face, at, out = Face(mouth(), 7, Manner()), 0, []
        while at < len(sound):
            step = int(size())
            out.append(face.push(sound[at : at + step]))
            at += step
        out.append(face.finish())
        kept = [one for one in out if one is not None]
        return np.concatenate([one.times for one in kept]), np.concatenate([one.values for one in kept])

    times, whole = made(lambda: len(sound))
    assert len(times) == -(-len(sound) * COEFFICIENT_HZ // SAMPLE_HZ)
    assert times.tolist() == [protocol.row_time(7 + k) for k in range(len(times))]
    for size in (lambda: 160, lambda: rng.integers(1, 2000)):
        pieces = made(size)
        assert (pieces[0] == times).all()
        np.testing.assert_allclose(pieces[1], whole, atol=1e-5)


def test_a_row_comes_as_soon_as_its_look_ahead_is_heard() -> None:
    face, sound = Face(mouth(), 0, Manner()), protocol.to_float(voice(2.0))
    waits = []
    for at in range(0, len(sound), 160):
        made = face.push(sound[at : at + 160])
        if made is not None:
            waits += [(at + 160 - int(time)) / SAMPLE_HZ * 1000 for time in made.times]
    # 10 ms for the piece that the last sample came in.
    assert max(waits) <= look_ahead_ms(mouth()) + 10.1
    assert mouth().look_ahead_ms < look_ahead_ms(mouth()) < mouth().look_ahead_ms + 40


def test_live_rows_are_those_of_a_file() -> None:
    sound = protocol.to_float(voice(1.5))
    animator = Animator(mouth().stream(), mouth().rate_hz)
    wanted = np.concatenate([animator.push(sound), animator.finish()])
    face, made = Face(mouth(), 0, Manner(idle=False)), []
    for at in range(0, len(sound), 333):
        made.append(face.push(sound[at : at + 333]))
    made.append(face.finish())
    got = np.concatenate([one.values for one in made if one is not None])
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_silence_rests_the_mouth_wholly() -> None:
    sound = np.concatenate([protocol.to_float(voice(1.0)), np.zeros(SAMPLE_HZ, np.float32)])
    sound += (np.random.default_rng(2).standard_normal(len(sound)) * 2e-4).astype(np.float32)
    face = Face(mouth(), 0, Manner())
    made = [one for one in (face.push(sound), face.finish()) if one is not None]
    values = np.concatenate([one.values for one in made])
    quiet = SAMPLE_HZ + HANG + FALL
    first = protocol.row_at(quiet) + 1
    assert values[:50, PLACE["jawOpen"]].max() > 0.03
    assert (values[first:, MOUTH] == 0).all()
    assert values[first:].max() > 0


@pytest.mark.parametrize("level_db", [-120, -60, -52])
def test_a_quiet_room_never_speaks(level_db: float) -> None:
    heard = Voice()
    noise = np.random.default_rng(0).standard_normal(3 * SAMPLE_HZ) * 10 ** (level_db / 20)
    heard.push(noise.astype(np.float32))
    assert (heard.speaks(np.arange(0, 3 * SAMPLE_HZ, 267, dtype=np.float32)) == 0).all()


def test_speech_is_heard_before_its_first_row() -> None:
    heard = Voice()
    heard.push(np.zeros(SAMPLE_HZ, np.float32))
    heard.push(protocol.to_float(voice(1.0)))
    assert heard.speaks(np.array([1.1 * SAMPLE_HZ], np.float32))[0] == 1
    assert heard.speaks(np.array([0.5 * SAMPLE_HZ], np.float32))[0] == 0


@settings(max_examples=30)
@given(st.integers(0, 10**7), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_idle_motion_is_a_function_of_time_and_seed(first: int, count: int, seed: int) -> None:
    whole = idle.Idle(seed).rows(first, count)
    assert whole.shape == (count, len(COEFFICIENTS)) and whole.min() >= 0 and whole.max() <= 1
    assert (whole[:, MOUTH] == 0).all()
    split = idle.Idle(seed)
    half = count // 2
    np.testing.assert_array_equal(
        whole, np.concatenate([split.rows(first, half), split.rows(first + half, count - half)])
    )


def test_idle_faces_blink_breathe_and_look_about() -> None:
    minute = idle.Idle(3).rows(0, 60 * COEFFICIENT_HZ)
    lids = minute[:, PLACE["eyeBlinkLeft"]]
    blinks = ((lids[1:] > 0.5) & (lids[:-1] <= 0.5)).sum()
    assert 10 <= blinks <= 25
    assert minute[:, PLACE["noseSneerLeft"]].max() > 0.01
    assert 0.02 < minute[:, PLACE["eyeLookOutLeft"]].max() <= 0.1
    assert not np.array_equal(minute, idle.Idle(4).rows(0, 60 * COEFFICIENT_HZ))


# -- queues and frames -----------------------------------------------------------------------------------------------


def test_a_slow_listener_loses_rows_and_hears_of_it_but_no_events() -> None:
    async def run() -> None:
        outlet = Outlet(["coefficients"], 8, lambda one: None)
        outlet.put(Event(0, {"event": "start"}))
        for k in range(100):
            outlet.put(rows(2 * k, 2))
        outlet.put(Event(9, {"event": "end"}))
        outlet.put(SoundBlock(0, np.zeros(5, np.int16)))
        outlet.end()
        items = [item async for item in outlet]
        told = [item.told["event"] for item in items if isinstance(item, Event)]
        assert told == ["dropped", "start", "end"]
        lost = items[0].told["count"]  # type: ignore[union-attr]
        assert lost + sum(len(item) for item in items if isinstance(item, Rows)) == 200
        assert outlet.dropped == lost // 2

    asyncio.run(run())


def test_waiting_rows_come_as_one_and_an_interruption_takes_them_back() -> None:
    async def run() -> None:
        outlet = Outlet(["coefficients", "sound"], 100, lambda one: None)
        for k in range(6):
            outlet.put(rows(k, 1))
        outlet.put(SoundBlock(protocol.row_time(4), np.zeros(10, np.int16)))
        outlet.purge(protocol.row_time(3))
        outlet.end()
        (item,) = [item async for item in outlet]
        assert isinstance(item, Rows) and len(item) == 3

    asyncio.run(run())


def test_events_that_nobody_reads_end_the_listener() -> None:
    left: list[Outlet] = []
    outlet = Outlet([], 4, left.append)
    for _ in range(6):
        outlet.put(Event(0, {"event": "mood"}))
    assert outlet.closed and outlet.starved and left == [outlet]


def test_bones_that_wait_give_way_to_newer_ones_and_never_to_their_cost() -> None:
    async def run() -> None:
        outlet = Outlet(["coefficients", "body"], 8, lambda one: None)
        for k in range(100):
            outlet.put(Event(k, {"event": "body", "bones": {}, "root": None}))
            outlet.put(rows(k, 1))
        outlet.end()
        items = [item async for item in outlet]
        bones = [item.time for item in items if isinstance(item, Event) and item.told["event"] == "body"]
        assert bones == [99]
        assert sum(len(item) for item in items if isinstance(item, Rows)) == 7

    asyncio.run(run())


def test_a_wire_sends_again_what_was_missed() -> None:
    wire = Wire(keep_s=1.0)
    for k in range(200):
        wire.frames(rows(k, 1), protocol.row_time(k))
    waiting, lost = wire.since(190)
    assert [protocol.decode(data).sequence for data in waiting] == list(range(191, 201)) and lost == 0
    waiting, lost = wire.since(0)
    assert len(waiting) + lost == 200 and 55 <= len(waiting) <= 62


def test_a_body_is_neither_sent_again_nor_counted() -> None:
    wire = Wire(keep_s=1.0)
    for k in range(100):
        wire.frames(rows(k, 1), protocol.row_time(k))
        (data,) = wire.frames(Event(0, {"event": "body", "bones": {}, "root": None}), protocol.row_time(k))
        assert protocol.decode(data).sequence == wire.sequence == 2 * k + 2
    waiting, lost = wire.since(180)
    assert [protocol.decode(data).sequence for data in waiting] == list(range(181, 200, 2)) and lost == 0
    waiting, lost = wire.since(0)
    assert len(waiting) + lost == 100 and 55 <= len(waiting) <= 62


def test_a_wire_says_what_an_item_is() -> None:
    wire = Wire(protocol.U16)
    (data,) = wire.frames(Rows(np.array([0, 266]), np.full((2, 52), 0.25, np.float32), True), 0)
    frame = protocol.decode(data)
    assert frame.kind is Kind.ROWS and frame.flags == protocol.REST
    np.testing.assert_allclose(protocol.read_rows(frame).values, 0.25, atol=1e-5)
    blocks = wire.frames(SoundBlock(5, np.zeros(40_000, np.int16), True), 0)
    assert [protocol.decode(one).time for one in blocks] == [5, 16_005, 32_005]
    turned = Rows(np.array([0]), np.zeros((1, 52), np.float32), False, np.full((1, 9), 0.1, np.float32))
    assert protocol.read_rows(protocol.decode(wire.frames(turned, 0)[0])).turns is None
    told = protocol.read_rows(protocol.decode(Wire(rotations=True).frames(turned, 0)[0]))
    assert told.turns is not None


# -- what may be asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        ("", "malformed"),
        ("[]", "malformed"),
        ("{}", "malformed"),
        ('{"kouxing": 2}', "version"),
        ('{"kouxing": "1"}', "version"),
        ('{"kouxing": true}', "version"),
        ('{"kouxing": 1, "mouth": 3}', "malformed"),
        ('{"kouxing": 1, "mouth": "1"}', "malformed"),
        ('{"kouxing": 1, "mouth": NaN}', "malformed"),
        ('{"kouxing": 1, "method": "other"}', "malformed"),
        ('{"kouxing": 1, "output": ["video"]}', "malformed"),
        ('{"kouxing": 1, "resume": {"session": 5}}', "malformed"),
        ('{"kouxing": 1, "seed": -1}', "malformed"),
        (json.dumps({"kouxing": 1, "token": "x" * 300}), "malformed"),
    ],
)
def test_a_hello_that_may_not_be(hello: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        read_hello(hello)
    assert caught.value.code == code and "\n" not in str(caught.value)


def test_a_hello_is_read_and_unknown_keys_are_ignored() -> None:
    hello = read_hello('{"kouxing": 1, "method": "expression", "emotion": ["happy:0.5"], "new": {}}')
    wish = wish_of(hello, "mouth", 5)
    assert wish.method == "expression" and wish.manner.emotion[1] == 0.5 and wish.manner.seed == 5
    for emotion in ("angryish", "happy@1s..2s"):
        with pytest.raises(Refused):
            shares(emotion, "expression")
    with pytest.raises(Refused):
        shares("happy", "mouth")


@pytest.mark.parametrize(
    "event", [{"event": "say"}, {"event": "say", "text": 5}, {"event": "mood", "mouth": -1}, {"event": "mix"}]
)
def test_events_that_may_not_be(event: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        read_event(event)


def test_events_of_later_versions_are_ignored() -> None:
    assert read_event({"event": "dance"}) is None
    assert reason.__doc__


def test_the_guard() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("::1") and not is_loopback("0.0.0.0")
    with pytest.raises(OptionError):
        Guard("0.0.0.0")
    with pytest.raises(OptionError):
        Guard("127.0.0.1", "short")
    with pytest.raises(OptionError):
        Guard("127.0.0.1", None, ["example.org"])
    guard = Guard("127.0.0.1", None, ["https://good.example"])
    guard.check_request({"host": "localhost:8765"})
    guard.check_request({"host": "localhost:8765", "origin": "http://localhost:8765"})
    guard.check_request({"host": "127.0.0.1:8765", "origin": "https://good.example"})
    guard.check_request({"host": "127.0.0.1:8765", "origin": "http://localhost:5173"})
    for headers in (
        {"host": "evil.example"},
        {"host": ""},
        {"host": "localhost", "origin": "https://evil.example"},
        {"host": "localhost", "origin": "null"},
        {"host": "localhost", "origin": "http://localhost.evil.example"},
    ):
        with pytest.raises(Refused):
            guard.check_request(headers)
    open_guard = Guard("0.0.0.0", "a-long-token")
    open_guard.check_request({"host": "any", "authorization": "Bearer a-long-token"})
    for told in ("", "Bearer", "Bearer wrong-token", "Basic a-long-token", "Bearer tökän"):
        with pytest.raises(Refused):
            open_guard.check_request({"host": "any", "authorization": told})


def test_limits_hold_a_second_of_sound() -> None:
    with pytest.raises(ValueError):
        Limits(message_bytes=1000)
