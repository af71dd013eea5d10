"""A captured face in a session that speaks: who moves what, and what goes out to other programs."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.server.limits import Limits
from kouxing.server.mixing import Mixer, read_rules
from kouxing.server.mocap_frames import Capture, Frame
from kouxing.server.mocap_out import follower
from kouxing.server.outlet import Event, Item
from kouxing.server.protocol import Rows
from kouxing.server.session import Session
from kouxing.server.wish import Wish
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ
from server.live_world import Hands, PoolAtHand, voice

MOUTHS = [place for place, name in enumerate(COEFFICIENTS) if name.startswith(("jaw", "mouth", "tongue"))]
BROW = PLACE["browInnerUp"]


def spoken(rules: str | None, captured: Float) -> tuple[dict[int, Float], list[Item]]:
    """Rest, two seconds of speech, rest, with a captured face from the beginning: rows by their time, and all items."""
    hands = Hands()
    session = Session("a", Wish(), PoolAtHand(), Limits(terminal_frames=10_000), hands)
    outlet, capture = session.out(), Capture()
    mixer = Mixer(read_rules(rules or "spoken"), [capture])

    def mixed(rows: Rows) -> Rows:
        values = mixer.mix(rows.values, rows.times / SAMPLE_HZ, hands.now, session.speaks and not rows.rest)
        return Rows(rows.times, values, rows.rest, mixer.rotations)

    if rules is not None:
        session.mixer = mixed
    sound = voice(2.0)
    for step in range(4 * COEFFICIENT_HZ):
        hands.now += 1 / COEFFICIENT_HZ
        capture.push(Frame(hands.now, captured))
        first, last = ((step + more - COEFFICIENT_HZ) * SAMPLE_HZ // COEFFICIENT_HZ for more in (0, 1))
        if 0 <= first < len(sound):
            session.push_sound(sound[first:last])
        elif first >= len(sound):
            session.end()
        session.tick()
    items = list(outlet._items)
    session.close()
    rows = {
        int(time): value
        for one in items
        if isinstance(one, Rows)
        for time, value in zip(one.times, one.values, strict=True)
    }
    return rows, items


async def told(rules: str | None, captured: Float) -> tuple[dict[int, Float], list[Item]]:
    return spoken(rules, captured)


def test_the_mouth_speaks_while_the_face_is_captured() -> None:
    captured = np.full(52, 0.6, np.float32)
    alone, _ = asyncio.run(told(None, captured))
    face, _ = asyncio.run(told("face", captured))
    times = sorted(set(alone) & set(face))
    assert len(times) > 3.5 * COEFFICIENT_HZ
    np.testing.assert_allclose(
        [face[time][MOUTHS] for time in times], [alone[time][MOUTHS] for time in times], atol=1e-6
    )
    assert all(face[time][BROW] == pytest.approx(0.6) for time in times[COEFFICIENT_HZ:])
    assert max(alone[time][PLACE["jawOpen"]] for time in times) > 0.02


def test_either_gives_the_mouth_to_the_voice_and_back() -> None:
    face, items = asyncio.run(told("either", np.full(52, 0.6, np.float32)))
    jaw = {time / SAMPLE_HZ: value[PLACE["jawOpen"]] for time, value in face.items()}
    assert jaw[min(jaw, key=lambda time: abs(time - 0.9))] == pytest.approx(0.6)
    assert max(value for time, value in jaw.items() if 1.6 < time < 2.8) < 0.5
    steps = np.abs(np.diff([face[time] for time in sorted(face)], axis=0))
    assert steps[COEFFICIENT_HZ:].max() < 0.25
    assert any(isinstance(one, Event) and one.told["event"] == "speech" for one in items)


def test_a_follower_sends_rows_and_forgets_at_an_interruption() -> None:
    class Out:
        def __init__(self) -> None:
            self.fed, self.forgot = [], 0

        def feed(self, rows: Float, times_s: Float, turns: Float | None, present_s: float) -> None:
            self.fed.append((rows, times_s, turns, present_s))

        def interrupt(self) -> None:
            self.forgot += 1

    async def run() -> None:
        session = Session("a", Wish(), PoolAtHand(), Limits(), Hands())
        out = Out()
        take = follower(out, session)
        rows = Rows(np.array([1600, 1866]), np.zeros((2, 52), np.float32), turns=np.ones((2, 9), np.float32))
        take(rows)
        take(Event(0, {"event": "speech"}))
        assert out.forgot == 0
        take(Event(0, {"event": "interrupt"}))
        ((values, times_s, turns, present_s),) = out.fed
        assert values is rows.values and turns is rows.turns and present_s == session.time / SAMPLE_HZ
        np.testing.assert_allclose(times_s, [0.1, 1866 / SAMPLE_HZ])
        assert out.forgot == 1
        session.close()

    asyncio.run(run())
