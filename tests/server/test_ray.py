"""Workers as replicas: what stands between pool and Ray without Ray, and once with it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kouxing.errors import OptionError
from kouxing.server import ray_pool
from kouxing.server.faces import Manner
from kouxing.server.pipe import Say, packed
from kouxing.server.pool import Pool
from kouxing.server.ray_pool import RayPool, RayWorker, Replica, check_address, imported
from kouxing.server.workers import Worker
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ
from server.live_world import voice


class Died(Exception):
    """What a call to a dead replica raises."""


class Handle:
    """Of an application whose replica lives in this process; ``kill`` makes the next calls fail until a new one is up.

    Args:
        down: calls that fail while the replica is being replaced.
    """

    def __init__(self, down: int = 0) -> None:
        self.replica = Replica("app", ["mouth"])
        self.down = down
        self.calls = 0

    def kill(self) -> None:
        self.replica, self.down = Replica("app", ["mouth"]), 2

    def __getattr__(self, name: str) -> Any:
        return Method(self, name)


class Method:
    def __init__(self, handle: Handle, name: str) -> None:
        self._handle, self._name = handle, name

    async def remote(self, *given: Any) -> Any:
        await asyncio.sleep(0.005)
        self._handle.calls += 1
        if self._handle.down:
            self._handle.down -= 1
            raise Died("it is dead\nand more lines")
        return getattr(self._handle.replica, self._name)(*given)


class AtHand(Pool):
    """The pool over replicas of this process."""

    def __init__(self, handles: list[Handle]) -> None:
        super().__init__(len(handles))
        self.handles = handles

    async def begin(self, slot: int) -> Worker:
        return RayWorker(self.heard, self.handles[slot], Died)


class Heard:
    """Takes a stream's rows."""

    def __init__(self) -> None:
        self.rows: list[Float] = []
        self.next = 0
        self.done = asyncio.Event()

    def take(self, first: int, values: Float, rest: bool) -> None:
        assert first == self.next
        self.next += len(values)
        self.rows.append(values)


async def told(pool: Pool, seconds: float, midway: Callable[[], None] = lambda: None) -> Float:
    """The rows of a voice; ``midway`` happens in the middle of it."""
    heard, sound = Heard(), voice(seconds)
    stream = pool.open("mouth", 0, Manner(idle=False), heard.take, heard.done.set)
    for at in range(0, len(sound), 800):
        if at == len(sound) // 1600 * 800:
            midway()
        stream.push(sound[at : at + 800])
        await asyncio.sleep(0.01)
    stream.finish()
    await asyncio.wait_for(heard.done.wait(), 60)
    rows = np.concatenate(heard.rows)
    assert len(rows) == -(-len(sound) * COEFFICIENT_HZ // SAMPLE_HZ)
    return rows


def test_a_stream_goes_on_when_its_replica_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "AGAIN_S", 0.01)

    async def story() -> None:
        handles = [Handle(), Handle(down=3)]
        pool = AtHand(handles)
        await pool.start()
        while sum(worker.ready for worker in pool._workers) < 2:
            await asyncio.sleep(0.01)
        assert pool.look_ahead_ms["mouth"] < 140
        whole = await told(pool, 1.5)
        calls = sum(handle.calls for handle in handles)
        # Sound that comes while a call is on its way waits for the next: fewer calls than blocks.
        assert calls < 60

        def kill() -> None:
            (busy,) = [worker for worker in pool._workers if worker.load]
            assert isinstance(busy, RayWorker)
            next(one for one in handles if one.replica._key == busy.key).kill()

        again = await told(pool, 1.5, kill)
        assert pool.told.replaced >= 1 and pool.told.moved == 1
        np.testing.assert_allclose(again, whole, atol=0.02)
        while sum(worker.ready for worker in pool._workers) < 2:
            await asyncio.sleep(0.01)
        await pool.close()

    asyncio.run(asyncio.wait_for(story(), 60))


def test_another_replica_than_the_one_that_was_greeted_takes_nothing() -> None:
    replica = Replica("app", ["mouth"])
    key, pid, first = replica.begin()
    assert pid == os.getpid() and first[4] == Say.READY
    assert replica.take(key, packed(Say.PING)) == packed(Say.PONG)
    # Another server took over, or Ray Serve replaced the replica.
    assert replica.begin()[0] != key and replica.take(key, packed(Say.PING)) is None


def test_a_replica_that_hangs_or_is_left_alone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    replica, left = Replica("app", ["mouth"]), []
    monkeypatch.setattr(replica, "_leave", lambda: left.append(True))
    replica.check_health()
    monkeypatch.setattr(ray_pool, "ABSENT_S", -1.0)
    replica.check_health()
    replica.check_health()
    assert left == [True]
    monkeypatch.setattr(ray_pool, "STUCK_S", -1.0)
    replica._began_s = 0.0
    with pytest.raises(RuntimeError, match="hangs"):
        replica.check_health()


@pytest.mark.parametrize("address", ["", "somewhere", "ray://localhost:10001", "localhost:ray", "localhost:99999"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(OptionError, match="HOST:PORT"):
        check_address(address)


def test_an_address_where_nothing_answers() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(OptionError, match="nothing answers there") as caught:
            check_address(f"127.0.0.1:{bound.getsockname()[1]}")
    assert "\n" not in str(caught.value)


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r"pip install 'kouxing\[live,cluster\]'"):
        imported()

    async def story() -> None:
        pool = RayPool(1, ["mouth"], "local")
        with pytest.raises(OptionError, match="cluster"):
            await pool.start()
        await pool.close()

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'ray[serve]'")
@pytest.mark.skipif(not os.environ.get("KOUXING_TEST_RAY"), reason="starts a Ray: set KOUXING_TEST_RAY=1")
def test_replicas_of_a_ray_of_our_own() -> None:
    async def story() -> None:
        pool = RayPool(1, ["mouth"], "local")
        try:
            await pool.start()
        except OptionError as error:
            if "timed out" in str(error):
                pytest.skip("this machine is too busy to start Ray within Ray's own 15 s")
            raise
        try:
            whole = await told(pool, 1.5)
            (pid,) = pool.busy_pids or pool.pids
            assert pid != os.getpid()
            again = await told(pool, 1.5, lambda: os.kill(pid, signal.SIGKILL))
            np.testing.assert_allclose(again, whole, atol=0.02)
            assert pool.told.replaced == 1 and pool.pids != [pid]
        finally:
            await pool.close()

    asyncio.run(asyncio.wait_for(story(), 300))
