"""A rendered stream: one clock for sound and pictures, a process that may be slow, die or be interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kouxing.errors import KouxingError
from kouxing.server import render_stream
from kouxing.server.playout import LIVE_S
from kouxing.server.render_stream import Clock, RenderedStream
from kouxing.units import SAMPLES_PER_FRAME
from rendered_world import DARK, BadPlan, LampPlan, Watcher, blocks, tone, until

Scene = Callable[[RenderedStream, Watcher], Coroutine[Any, Any, None]]


def play(plan: LampPlan, scene: Scene, clock: Clock | None = None) -> tuple[RenderedStream, Watcher]:
    """Run a scene with a stream; how it ended."""

    async def main() -> tuple[RenderedStream, Watcher]:
        stream = RenderedStream(plan, clock)
        watcher = Watcher(stream)
        await stream.start()
        try:
            await asyncio.wait_for(scene(stream, watcher), 60)
        finally:
            await stream.close()
        await watcher.ended()
        return stream, watcher

    return asyncio.run(main())


def test_sound_and_pictures_are_on_one_clock() -> None:
    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        for _ in range(3):
            stream.push_sound(blocks(0.4))
            stream.end()
            await until(lambda: stream.waiting_s == 0)
            ticks = stream.counts.ticks
            await until(lambda ticks=ticks: stream.counts.ticks > ticks + 40)

    stream, watcher = play(LampPlan(), scene)
    assert stream.delay_s == pytest.approx(0.16)
    ticks = [one.tick for one in watcher.sound]
    numbers = [one.number for one in watcher.pictures]
    assert ticks == list(range(len(ticks))) and numbers == sorted(set(numbers))
    loud, bright = watcher.loud(), watcher.bright()
    assert len(loud) == 3 * 20
    # Where a picture came at all, it is bright exactly while there is sound, and its chroma tells its number.
    assert {number for number in numbers if 2 * number in loud} == set(bright)
    assert all(one.planes[-1] == one.number % 256 for one in watcher.pictures)
    assert stream.counts.pictures == len(numbers) and stream.counts.missing == numbers[-1] + 1 - len(numbers)
    said = np.concatenate([one.samples for one in watcher.sound if one.tick in loud])
    np.testing.assert_array_equal(said, np.tile(blocks(0.4), 3))


def test_a_slow_process_leaves_pictures_out_and_the_sound_goes_on() -> None:
    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        await until(lambda: stream.counts.ticks >= 100)

    stream, watcher = play(LampPlan(slow_s=0.09), scene)
    assert [one.tick for one in watcher.sound][:100] == list(range(100))
    numbers = [one.number for one in watcher.pictures]
    assert numbers == sorted(set(numbers)) and len(numbers) == stream.counts.pictures > 3
    # Those that come late still bear their own time.
    assert stream.counts.dropped > 5 and stream.counts.missing > 5 and stream.counts.late > 3
    assert all(one.planes[-1] == one.number % 256 for one in watcher.pictures)


def test_an_interruption_darkens_the_pictures_and_silences_the_sound() -> None:
    due: list[int] = []

    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        stream.push_sound(tone(20))
        await until(lambda: len(watcher.bright()) > 10)
        stream.interrupt()
        due.append(stream._due)
        assert stream.waiting_s == 0
        await until(lambda: stream.counts.ticks > 2 * due[0] + 30)
        stream.push_sound(blocks(0.4))
        stream.end()
        await until(lambda: watcher.bright() and watcher.bright()[-1] > due[0] + 15)
        ticks = stream.counts.ticks
        await until(lambda: stream.counts.ticks > ticks + 30)

    _, watcher = play(LampPlan(ahead=4), scene)
    first, later = due[0], [number for number in watcher.bright() if number > due[0]]
    # Nothing that was made before is shown after it; the next speech is, whole.
    assert later and min(later) > first + 10
    loud = [tick for tick in watcher.loud() if tick > 2 * first + 2]
    assert min(loud) > 2 * first + 20 and len(loud) == 20
    dark = [one for one in watcher.pictures if first < one.number < min(later)]
    assert dark and all(one.planes[0] == DARK for one in dark)


def test_a_process_that_dies_is_replaced_and_the_speech_goes_on(tmp_path: Path) -> None:
    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        stream.push_sound(tone(30))
        await until(lambda: stream.counts.restarts == 1)
        at = stream.counts.pictures
        await until(lambda: stream.counts.pictures > at + 10)

    stream, watcher = play(LampPlan(dies_at=20, marks=tmp_path / "died"), scene)
    assert [one.tick for one in watcher.sound] == list(range(len(watcher.sound)))
    after = [one for one in watcher.pictures if one.number >= 20]
    # It goes on in the speech, and with the numbers, that the stream has reached.
    assert after and all(one.planes[-1] == one.number % 256 for one in after)
    assert watcher.bright()[-1] == watcher.pictures[-1].number
    assert stream.failed is None


def test_an_interruption_while_the_process_is_replaced_does_not_freeze_the_picture(tmp_path: Path) -> None:
    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        stream.push_sound(tone(20))
        await until(lambda: stream.counts.restarts == 1)
        assert not stream._ready.is_set()
        stream.interrupt()
        await until(stream._ready.is_set)
        at = stream.counts.pictures
        await until(lambda: stream.counts.pictures > at + 10)

    stream, _ = play(LampPlan(dies_at=20, marks=tmp_path / "died"), scene)
    assert stream.failed is None


def test_one_that_dies_again_and_again_ends_the_stream() -> None:
    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        await until(lambda: stream.counts.pictures > 2)
        while not stream.failed:
            before = stream.counts.restarts
            if stream._process is not None:
                stream._process.end()
            stream._lost = max(stream._lost, render_stream.RESTARTS - 1)
            await until(lambda before=before: stream.failed or stream.counts.restarts > before)
        await watcher.ended()

    stream, _ = play(LampPlan(), scene)
    assert "again and again" in str(stream.failed) and not stream.running


def test_what_cannot_be_shown_is_told_in_one_line() -> None:
    async def main() -> None:
        stream = RenderedStream(BadPlan())
        with pytest.raises(KouxingError, match=r"lamp\.glb: is broken; give another one"):
            await stream.start()
        assert not stream.running
        await stream.close()

    asyncio.run(main())


def test_a_viewer_that_does_not_look_loses_the_oldest_and_nobody_waits() -> None:
    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        lazy = stream.view("audio")
        await until(lambda: stream.counts.ticks >= 60)
        first = await lazy.get()
        assert first.tick > 0
        stream.leave(lazy)
        skipped = stream.counts.skipped
        assert skipped >= 60 - render_stream.WAITING - 5
        await until(lambda: stream.counts.ticks >= 80)
        assert stream.counts.skipped == skipped

    _, watcher = play(LampPlan(), scene)
    assert [one.tick for one in watcher.sound][:60] == list(range(60))


class Jumping(Clock):
    """A clock that a test puts forward."""

    def __init__(self) -> None:
        super().__init__()
        self.jump = 0.0

    def now(self) -> float:
        return super().now() + self.jump


def test_a_clock_that_stood_still_is_set_anew_and_numbers_have_no_gap() -> None:
    clock = Jumping()

    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        await until(lambda: stream.counts.ticks > 10)
        clock.jump = 3600.0
        await until(lambda: stream.counts.stalls)
        at = stream.counts.ticks
        await until(lambda: stream.counts.ticks > at + 10)
        assert stream.counts.restarts == 0

    _, watcher = play(LampPlan(), scene, clock)
    assert [one.tick for one in watcher.sound] == list(range(len(watcher.sound)))


def test_a_short_stall_is_caught_up_with_and_who_looks_loses_nothing() -> None:
    clock = Jumping()

    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        await until(lambda: stream.counts.ticks > 10)
        at = stream.counts.ticks
        clock.jump = render_stream.BEHIND_S - 0.1
        await until(lambda: stream.counts.ticks > at + render_stream.WAITING)
        assert stream.counts.skipped == 0

    _, watcher = play(LampPlan(), scene, clock)
    assert [one.tick for one in watcher.sound] == list(range(len(watcher.sound)))


def test_memory_is_bounded() -> None:
    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        await until(lambda: stream.counts.ticks >= 1000)
        assert len(stream._recent) <= stream.ahead + render_stream.worker.LEAD + 25
        assert len(stream._made) < 20 and len(stream._playout._blocks) < 20

    play(LampPlan(), scene, Clock(12.0))


def test_rooms_for_sound_are_bounded() -> None:
    stream = RenderedStream(LampPlan())
    second = np.zeros(25 * SAMPLES_PER_FRAME, np.float32)
    assert stream.push_sound(second, live=True) == int(LIVE_S * 16_000)


def test_a_process_that_hangs_while_somebody_speaks_holds_up_nothing_and_is_replaced() -> None:
    waits: list[float] = []

    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        stream.push_sound(tone(20.0))
        await until(lambda: stream.counts.pictures > 2)
        hanging = stream._process.pid
        os.kill(hanging, signal.SIGSTOP)
        # Should the stream wait for it, then not for ever.
        rescue = threading.Timer(12, os.kill, (hanging, signal.SIGKILL))
        rescue.start()
        last = time.monotonic()
        while not stream.counts.restarts and not stream.failed:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            waits.append(now - last)
            last = now
        rescue.cancel()
        at = stream.counts.pictures
        await until(lambda: stream.counts.pictures > at + 10)

    stream, _ = play(LampPlan(), scene)
    assert stream.counts.restarts == 1 and max(waits) < 3


def test_a_replacement_that_hangs_before_it_is_ready_is_replaced_too(monkeypatch: pytest.MonkeyPatch) -> None:
    start_s = render_stream.START_S

    async def scene(stream: RenderedStream, watcher: Watcher) -> None:
        await until(lambda: stream.counts.pictures > 2)
        os.kill(stream._process.pid, signal.SIGKILL)
        await until(lambda: stream.counts.restarts == 1)
        os.kill(stream._process.pid, signal.SIGSTOP)
        assert not stream._ready.is_set()
        monkeypatch.setattr(render_stream, "START_S", 0.3)
        await until(lambda: stream.counts.restarts == 2)
        monkeypatch.setattr(render_stream, "START_S", start_s)
        at = stream.counts.pictures
        await until(lambda: stream.counts.pictures > at)

    stream, watcher = play(LampPlan(), scene)
    assert stream.counts.restarts == 2 and stream.failed is None
    assert [one.tick for one in watcher.sound] == list(range(len(watcher.sound)))
