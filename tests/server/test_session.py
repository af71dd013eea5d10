"""A session on a clock that is set by hand: what goes in, what comes out, and at which time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from kouxing.arkit import PLACE
from kouxing.server import protocol
from kouxing.server.faces import MOUTH, Manner
from kouxing.server.limits import Limits
from kouxing.server.outlet import Event, Item, Outlet, SoundBlock
from kouxing.server.protocol import Refused, Rows, Sound
from kouxing.server.resting import Resting
from kouxing.server.session import Session
from kouxing.server.wish import Wish
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ
from server.live_world import Hands, PoolAtHand, Said, speak, voice


class World:
    """A session, its time, and all that it gave out."""

    def __init__(self, **limits: Any) -> None:
        self.hands, self.pool = Hands(), PoolAtHand()
        self.limits = Limits(terminal_frames=100_000, **limits)
        self.session = Session("a", Wish(), self.pool, self.limits, self.hands, speak)  # type: ignore[arg-type]
        self.outlet: Outlet = self.session.out()
        self.items: list[Item] = []

    async def pass_(self, seconds: float) -> None:
        """Let time pass in ticks."""
        for _ in range(round(seconds * COEFFICIENT_HZ)):
            self.hands.now += 1 / COEFFICIENT_HZ
            self.session.tick()
            for _ in range(4):
                await asyncio.sleep(0)
        self.take()

    async def talk(self, seconds: float, start: int = 0) -> int:
        """A microphone that speaks; returns the counter behind it."""
        sound = voice(seconds)
        for at in range(0, len(sound), 320):
            self.hands.now += 320 / SAMPLE_HZ
            self.session.push_sound(sound[at : at + 320], start + at)
            self.session.tick()
        self.take()
        return start + len(sound)

    def take(self) -> None:
        """Collect what waits."""
        while self.outlet._items:
            self.items.append(self.outlet._items.popleft())

    def told(self, event: str) -> list[Event]:
        return [item for item in self.items if isinstance(item, Event) and item.told["event"] == event]

    @property
    def rows(self) -> tuple[list[int], Float]:
        """Numbers and values of all rows in the order in which they came."""
        got = [item for item in self.items if isinstance(item, Rows)]
        numbers = [protocol.row_at(int(time)) for one in got for time in one.times]
        return numbers, np.concatenate([one.values for one in got])

    @property
    def sound(self) -> list[SoundBlock]:
        return [item for item in self.items if isinstance(item, SoundBlock)]


def run(story: Callable[[World], Awaitable[None]], **limits: Any) -> World:
    """Play a story."""

    async def play() -> World:
        world = World(**limits)
        await story(world)
        world.session.close()
        return world

    return asyncio.run(play())


def test_an_idle_face_goes_on_sixty_times_a_second() -> None:
    async def story(world: World) -> None:
        await world.pass_(3)

    numbers, values = run(story).rows
    assert numbers == list(range(len(numbers))) and 176 <= len(numbers) <= 180
    assert (values[:, MOUTH] == 0).all() and values.max() > 0


def test_speech_and_idle_rows_make_one_line_without_gap_or_double() -> None:
    async def story(world: World) -> None:
        await world.pass_(0.5)
        await world.talk(1.5)
        world.session.end()
        await world.pass_(1)

    world = run(story)
    numbers, values = world.rows
    assert numbers == list(range(len(numbers)))
    assert values[:, PLACE["jawOpen"]].max() > 0.05
    (start,), (end,) = world.told("start"), world.told("end")
    assert start.told == {"event": "start", "source": "sound", "input": 0}
    assert end.time - start.time == 1.5 * SAMPLE_HZ and end.told["reason"] == "end"
    assert abs(start.time - 0.5 * SAMPLE_HZ) < 0.05 * SAMPLE_HZ
    sound = world.sound
    assert sound[0].time == start.time
    assert all(a.time + len(a.sound) == b.time for a, b in pairwise(sound))
    np.testing.assert_array_equal(np.concatenate([one.sound for one in sound]), voice(1.5))


def test_a_mouth_comes_to_rest_smoothly_when_speech_breaks_off() -> None:
    async def story(world: World) -> None:
        await world.talk(0.9)
        world.session.end()
        await world.pass_(0.5)

    world = run(story)
    numbers, values = world.rows
    end = protocol.row_at(world.told("end")[0].time)
    jaw = values[:, PLACE["jawOpen"]]
    assert (values[numbers.index(end + 8) :, MOUTH] == 0).all()
    assert np.abs(np.diff(jaw[numbers.index(end) - 1 :])).max() < 0.12


def test_an_interruption_empties_everything_and_rests_within_a_tenth_of_a_second() -> None:
    async def story(world: World) -> None:
        world.session.push_sound(voice(5.0), 0)
        await world.pass_(1.02)
        cut = world.session.time
        assert world.session.queued_s > 2
        world.session.interrupt()
        assert world.session.queued_s == 0 and not world.session.speaks
        assert world.pool.made[0].closed
        world.take()
        at = next(
            place
            for place, item in enumerate(world.items)
            if isinstance(item, Event) and item.told["event"] == "interrupt"
        )
        closing = [item for item in world.items[at:] if isinstance(item, Rows)]
        last = closing[-1]
        assert (last.values[-1, MOUTH] == 0).all()
        assert (int(last.times[-1]) - cut) / SAMPLE_HZ < 0.12
        assert closing[0].values[0, MOUTH].max() > 0
        del world.items[:]
        await world.pass_(0.5)
        numbers, values = world.rows
        assert (values[:, MOUTH] == 0).all()
        assert numbers[0] == protocol.row_at(int(last.times[-1])) + 1

    world = run(story)
    assert not world.sound


def test_a_queued_interruption_takes_back_what_no_terminal_has() -> None:
    async def story(world: World) -> None:
        world.session.push_sound(voice(2.0), 0)
        world.hands.now += 0.1
        world.session.interrupt()
        cut = protocol.row_time(protocol.row_at(world.session.time))
        world.take()
        events = [item for item in world.items if isinstance(item, Event) and item.told["event"] == "interrupt"]
        before = world.items[: world.items.index(events[0])]
        assert all(item.time < cut for item in before if isinstance(item, SoundBlock))
        assert all(item.times[0] < cut for item in before if isinstance(item, Rows))

    run(story)


def test_output_runs_ahead_by_the_lead_and_no_more() -> None:
    async def story(world: World) -> None:
        world.session.push_sound(voice(4.0), 0)
        world.take()
        ahead = world.sound[-1].time + len(world.sound[-1].sound) - world.session.time
        assert 0.5 <= ahead / SAMPLE_HZ <= 0.61
        await world.pass_(5)

    world = run(story)
    assert sum(len(one.sound) for one in world.sound) >= 4 * SAMPLE_HZ


def test_too_much_sound_is_dropped_and_counted_with_few_words() -> None:
    async def story(world: World) -> None:
        for second in range(10):
            world.session.push_sound(voice(1.0), second * SAMPLE_HZ)
        await world.pass_(1)
        assert world.session.queued_s <= 3

    world = run(story, queue_s=3.0)
    told = world.told("dropped")
    assert len(told) <= 3
    assert sum(one.told["count"] for one in told) == world.session.counts.dropped
    assert world.session.counts.dropped + world.session.counts.heard == 10 * SAMPLE_HZ


def test_a_network_that_cannot_keep_up_makes_nothing_pile_up() -> None:
    async def story(world: World) -> None:
        opened = world.pool.open

        def stuck(*args: Any) -> Any:
            stream = opened(*args)
            stream.push = lambda sound: given.append(len(sound))  # type: ignore[method-assign]
            return stream

        given: list[int] = []
        world.pool.open = stuck  # type: ignore[method-assign]
        behind = await world.talk(40.5)
        assert sum(given) <= 2.3 * SAMPLE_HZ * len(world.pool.made)
        assert len(world.pool.made) < 15
        assert world.session.queued_s <= 3.2
        # It comes back to life: what is heard then is of now.
        world.pool.open = opened  # type: ignore[method-assign]
        await world.talk(6.0, behind)
        assert world.session.queued_s < 0.5
        assert world.session.time - world.session._end < 0.3 * SAMPLE_HZ
        await world.pass_(0.3)

    world = run(story)
    assert {one.told["reason"] for one in world.told("dropped")} == {"overload"}
    assert {one.told["reason"] for one in world.told("end")} == {"overload"}
    assert world.session.counts.dropped > 30 * SAMPLE_HZ
    assert world.told("start")[-1].told["input"] > 35 * SAMPLE_HZ


@pytest.mark.parametrize("speed", [0.9, 0.5])
def test_lag_of_a_slow_network_is_not_taken_for_a_slow_microphone(speed: float) -> None:
    async def story(world: World) -> None:
        opened = world.pool.open

        def slow(*args: Any) -> Any:
            stream = opened(*args)
            began, done = world.hands.now, [0.0]
            heard, waiting = stream.push, []

            def push(sound: Sound) -> None:
                waiting.append(sound)
                while waiting and done[0] + len(waiting[0]) / SAMPLE_HZ <= speed * (world.hands.now - began):
                    done[0] += len(waiting[0]) / SAMPLE_HZ
                    heard(waiting.pop(0))

            stream.push = push
            return stream

        world.pool.open = slow  # type: ignore[method-assign]
        await world.talk(60.0)
        assert world.session.time - SAMPLE_HZ * (world.hands.now - 100) > -0.1 * SAMPLE_HZ
        assert world.session.queued_s < 3.2

    world = run(story)
    assert {one.told["reason"] for one in world.told("end")} == {"overload"}


def test_what_stood_in_for_late_sound_is_taken_back_in_pauses() -> None:
    async def story(world: World) -> None:
        sound = np.concatenate([voice(2.0), np.zeros(SAMPLE_HZ, np.int16)])
        blocks = [sound[at : at + 320] for at in range(0, len(sound), 320)]
        for number, block in enumerate([*blocks, *blocks]):
            # The network holds what is said from 1.0 to 1.4 s, and gives it at once.
            if not 50 <= number < 70:
                world.hands.now += 0.02
            elif number == 50:
                await world.pass_(0.4)
            world.session.push_sound(block, 320 * number)
            world.session.tick()
            late.append((world.session._end - world.session.time) / SAMPLE_HZ)
        world.take()

    late: list[float] = []
    world = run(story)
    assert max(late) > 0.2
    assert late[-1] < 0.05
    assert world.session.counts.dropped == 0
    # Whoever plays its own sound is told where it goes on.
    first, *_, last = (one for one in world.told("start"))
    assert (last.told["input"] - first.told["input"]) - (last.time - first.time) < 0.05 * SAMPLE_HZ


def test_after_a_machine_slept_the_night_is_not_made_up_for() -> None:
    async def story(world: World) -> None:
        await world.pass_(1.0)
        world.hands.now += 8 * 3600
        await world.pass_(0.5)

    world = run(story)
    numbers, _ = world.rows
    assert len(numbers) < 4 * COEFFICIENT_HZ
    assert numbers[-1] > 8 * 3600 * COEFFICIENT_HZ


def test_sound_that_found_no_room_leaves_a_hole_that_is_told() -> None:
    async def story(world: World) -> None:
        sound = voice(1.0)
        for second in range(4):
            world.session.push_sound(sound, second * SAMPLE_HZ)
        for _ in range(150):
            await world.pass_(1 / COEFFICIENT_HZ)
        world.session.push_sound(sound, 4 * SAMPLE_HZ)
        await world.pass_(1.5)

    world = run(story, queue_s=2.0)
    assert world.session.counts.dropped > 0
    starts = {one.told["input"]: one.time for one in world.told("start")}
    assert 4 * SAMPLE_HZ in starts


def test_lost_packets_are_silence_duplicates_are_counted_and_a_jump_begins_anew() -> None:
    async def story(world: World) -> None:
        behind = await world.talk(0.4)
        world.session.push_sound(voice(0.2), behind + 1600)
        world.session.push_sound(voice(0.2), behind)
        world.session.push_sound(voice(0.2), 10**9)
        world.hands.now += 0.5
        await world.pass_(0.4)

    world = run(story)
    inputs = [one.told["input"] for one in world.told("start")]
    assert inputs == [0, 10**9]
    assert world.session.counts.dropped == 3200
    assert any(not one.sound.any() and len(one.sound) == 1600 for one in world.sound)


def test_sound_that_stalls_becomes_silence_and_then_ends() -> None:
    async def story(world: World) -> None:
        behind = await world.talk(0.6)
        await world.pass_(0.3)
        await world.talk(0.2, behind)
        await world.pass_(1.2)
        await world.talk(0.2, 5)
        await world.pass_(1.2)

    world = run(story)
    numbers, _ = world.rows
    assert numbers == list(range(len(numbers)))
    starts = [one.told["input"] for one in world.told("start")]
    assert starts == [0, 9600, 5]
    assert [one.told["reason"] for one in world.told("end")] == ["stalled", "stalled"]


@pytest.mark.parametrize("gap_s", [0.1, 0.4])
def test_lost_sound_does_not_put_a_microphone_off_its_time(gap_s: float) -> None:
    async def story(world: World) -> None:
        behind = await world.talk(0.6)
        await world.pass_(gap_s)
        await world.talk(0.4, behind + round(gap_s * SAMPLE_HZ))

    world = run(story)
    begins = world.told("start")[0].time
    after = next(one for one in world.sound if one.time > begins + (0.6 + gap_s / 2) * SAMPLE_HZ and one.sound.any())
    assert abs(after.time - begins - (0.6 + gap_s) * SAMPLE_HZ) <= 0.02 * SAMPLE_HZ


def test_texts_take_their_turn_and_come_with_their_words() -> None:
    async def story(world: World) -> None:
        await world.talk(0.4)
        world.session.say("one two", name="a")
        world.session.say("three", name="b")
        world.session.push_sound(voice(0.1), 0)
        await world.pass_(4)

    world = run(story)
    assert [one.told["text"] for one in world.told("text")] == ["one", "two", "three"]
    assert [(one.told["source"], one.told.get("id")) for one in world.told("start")] == [
        ("sound", None), ("text", "a"), ("text", "b"),
    ]  # fmt: skip
    assert [one.told["reason"] for one in world.told("end")] == ["end"] * 3
    assert all(one.made for one in world.sound if one.time >= world.told("start")[1].time)
    assert world.session.counts.dropped == 1600
    numbers, _ = world.rows
    assert numbers == list(range(len(numbers)))


def test_the_next_piece_of_a_text_is_taken_as_soon_as_there_is_room() -> None:
    words = 12
    made: list[str] = []
    waiting: list[float] = []

    async def speech(text: str, language: str) -> Any:
        async for piece in speak(text, language):
            made.append(piece.text)
            yield piece

    async def story(world: World) -> None:
        world.session._texts._speak = speech
        world.session.say("word " * words)
        await world.pass_(0.2)
        while len(made) < words:
            waiting.append(world.session.queued_s)
            await world.pass_(1 / COEFFICIENT_HZ)
        # Not only when nothing waits any more; nor is there more than the bound and one piece.
        lead_s = world.limits.lead_s
        assert min(waiting) > 0.8 * lead_s and max(waiting) < lead_s + 0.5

    run(story)
    assert len(waiting) > 60


def test_an_interrupted_text_says_no_more() -> None:
    async def story(world: World) -> None:
        world.session.say("one two three four five six seven eight")
        await world.pass_(0.4)
        world.session.interrupt()
        await world.pass_(1)

    world = run(story)
    assert len(world.told("text")) < 4 and world.told("end")[-1].told["reason"] == "interrupt"
    after = [
        item for item in world.items[world.items.index(world.told("interrupt")[0]) :] if isinstance(item, SoundBlock)
    ]
    assert not after


@pytest.mark.parametrize("text", ["", "  \n", "x" * 3000])
def test_texts_that_cannot_be_said(text: str) -> None:
    async def story(world: World) -> None:
        with pytest.raises(Refused):
            world.session.say(text)

    run(story)


def test_a_speaker_that_fails_says_so_and_the_session_goes_on() -> None:
    async def broken(text: str, language: str) -> Any:
        yield Said(protocol.to_float(voice(0.3)), "well")
        raise RuntimeError("boom")

    async def story(world: World) -> None:
        world.session._texts._speak = broken
        world.session.say("hello", name="x")
        await world.pass_(1.5)
        await world.talk(0.3)
        await world.pass_(1.5)

    world = run(story)
    (error,) = world.told("error")
    assert error.told["code"] == "fault" and error.told["fatal"] is False and "boom" not in error.told["message"]
    assert len(world.told("start")) == 2 and len(world.told("end")) == 2


def test_told_visemes_move_the_mouth() -> None:
    told = np.zeros((18, 52), np.float32)
    told[:, PLACE["mouthFunnel"]] = 0.77

    async def visemes(text: str, language: str) -> Any:
        yield Said(protocol.to_float(voice(0.3)), "oh", rows=told)

    async def story(world: World) -> None:
        world.session._texts._speak = visemes
        world.session.say("oh")
        await world.pass_(1)

    values = run(story).rows[1]
    assert (np.abs(values[:, PLACE["mouthFunnel"]] - 0.77) < 1e-6).sum() == 18


def test_a_mood_stays_while_nobody_speaks() -> None:
    face = Resting(0)
    smiling = np.zeros(52, np.float32)
    smiling[[PLACE["mouthSmileLeft"], PLACE["jawOpen"], PLACE["eyeBlinkLeft"]]] = 0.6
    face.hold(smiling)
    values = face.rows(0, 120, True).values
    assert (values[:, PLACE["mouthSmileLeft"]] == smiling[PLACE["mouthSmileLeft"]]).all()
    assert (values[:, PLACE["jawOpen"]] == 0).all() and values[:, PLACE["eyeBlinkLeft"]].min() == 0


def test_the_mixer_sees_every_row_and_sinks_hear_all() -> None:
    class Sink:
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def push_sound(self, samples: Float) -> None:
            self.heard.append(len(samples))

        def interrupt(self) -> None:
            self.heard.append("interrupt")

        def end(self) -> None:
            self.heard.append("end")

    async def story(world: World) -> None:
        sink = Sink()
        world.session.attach(sink)
        world.session.mixer = lambda rows: Rows(rows.times, np.full_like(rows.values, 0.25), False)
        await world.pass_(0.2)
        await world.talk(0.4)
        world.session.end()
        world.session.interrupt()
        world.session.detach(sink)
        await world.talk(0.2)
        assert sum(one for one in sink.heard if isinstance(one, int)) == 0.4 * SAMPLE_HZ
        assert sink.heard[-2:] == ["end", "interrupt"]

    values = run(story).rows[1]
    assert (values == 0.25).all()


def test_a_mood_changes_the_opening_at_once() -> None:
    async def story(world: World) -> None:
        await world.talk(0.8)
        world.session.change(Wish(manner=Manner(mouth=0.0)))
        world.take()
        del world.items[:]
        await world.talk(0.8, round(0.8 * SAMPLE_HZ))

    values = run(story).rows[1]
    assert values[30:, PLACE["jawOpen"]].max() == 0
