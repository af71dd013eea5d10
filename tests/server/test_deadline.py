"""Waiting with a deadline: answers, failures, lateness, and cancellations that come together with the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kouxing.server.deadline import within


async def answer(after_s: float, what: Any = 7) -> Any:
    await asyncio.sleep(after_s)
    if isinstance(what, Exception):
        raise what
    return what


def test_the_answer_comes_or_its_failure_or_the_deadline() -> None:
    assert asyncio.run(within(answer(0), 5)) == 7
    with pytest.raises(KeyError):
        asyncio.run(within(answer(0, KeyError("x")), 5))
    with pytest.raises(TimeoutError):
        asyncio.run(within(answer(60), 0.01))


@pytest.mark.parametrize("answered", [True, False])
def test_what_is_not_waited_for_any_more_ends_first(answered: bool) -> None:
    async def story() -> list[str]:
        told: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                told.append("ended")

        task = asyncio.ensure_future(within(work(), 60 if answered else 0.01))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if answered:
            task.cancel()
        with pytest.raises(asyncio.CancelledError if answered else TimeoutError):
            await task
        return told

    assert asyncio.run(story()) == ["ended"]


@pytest.mark.parametrize("turns", range(5))
def test_a_cancellation_that_comes_with_the_answer_is_not_forgotten(turns: int) -> None:
    async def story() -> None:
        given: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        rounds = 0

        async def loop() -> None:
            nonlocal rounds
            while True:
                await within(asyncio.shield(given) if rounds == 0 else asyncio.sleep(0.01), 60)
                rounds += 1

        task = asyncio.ensure_future(loop())
        await asyncio.sleep(0.01)
        given.set_result(1)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=1)
        assert task.cancelled()

    asyncio.run(story())
