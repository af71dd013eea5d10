"""Waiting no longer than a deadline, without losing a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Answer = TypeVar("Answer")


async def within(work: Awaitable[Answer], seconds: float) -> Answer:
    """The answer of ``work``, which is cancelled when it takes longer or nobody waits any more.

    ``asyncio.wait_for`` of Python before 3.12 forgets a cancellation that comes together with the answer: a loop
    around it then goes on, and whoever waits for its end waits for ever.

    Raises:
        TimeoutError: it took longer than ``seconds``.
    """
    task = asyncio.ensure_future(work)
    try:
        if not (await asyncio.wait([task], timeout=seconds))[0]:
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        # A failure that nobody waits for any more is looked at, not reported.
        _ = task.cancelled() or task.exception()
