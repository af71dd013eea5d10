"""What a session gives to one listener: a bounded queue that loses old rows rather than memory."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kouxing.server.protocol import Rows, Sound

MOST_MERGED = 60
"""Rows of a slow listener's waiting items that are handed over as one."""


@dataclass(frozen=True)
class SoundBlock:
    """Sound that the session hears or says.

    Attributes:
        time: of its first sample, in samples on the session's clock.
        sound: ``[N] int16`` at 16 kHz.
        made: whether it was made from text.
    """

    time: int
    sound: Sound
    made: bool = False


@dataclass(frozen=True)
class Event:
    """Something that happened, as docs/protocol.md lists them.

    Attributes:
        time: when, on the session's clock.
        told: JSON values with the key ``event``.
    """

    time: int
    told: dict[str, Any]


Item = SoundBlock | Rows | Event


class Outlet:
    """The listener's end of a session; ``async for item in outlet``.

    Args:
        wants: any of ``coefficients``, ``sound``; events always come.
        limit: items that wait; beyond it the oldest rows and blocks go, and are counted.
        left: called when the listener closes it.
        keeps: whether the session goes on for this listener alone.

    Attributes:
        dropped: items that were lost. closed: nothing comes any more. starved: since nothing could be lost any more.
    """

    def __init__(self, wants: Iterable[str], limit: int, left: Callable[[Outlet], None], keeps: bool = False) -> None:
        self._wants = frozenset(wants)
        self._limit = limit
        self._left = left
        self.keeps = keeps
        self._items: deque[Item] = deque()
        self._some = asyncio.Event()
        self._lost: Counter[str] = Counter()
        self.dropped = 0
        self.closed = self.starved = False

    def put(self, item: Item) -> None:
        """Hand over an item; never waits."""
        if self.closed or not self._wanted(item):
            return
        if _bones(item):
            # Bones of a moment ago are of no use; they shall not take the face's place.
            self._items = deque(one for one in self._items if not _bones(one))
        self._items.append(item)
        if len(self._items) > self._limit:
            self._drop()
        self._some.set()

    def purge(self, time: int) -> None:
        """Forget rows and blocks that stand at or after ``time``."""
        self._items = deque(item for item in self._items if isinstance(item, Event) or _time(item) < time)

    def end(self) -> None:
        """The session is over; what waits is still given out."""
        self.closed = True
        self._some.set()

    def close(self) -> None:
        """The listener leaves."""
        if not self.closed:
            self.end()
        self._items.clear()
        self._left(self)

    def __aiter__(self) -> Outlet:
        return self

    async def __anext__(self) -> Item:
        """The next item; rows that wait behind each other come as one.

        Raises:
            StopAsyncIteration: the session is over.
        """
        while not self._items:
            if self.closed:
                raise StopAsyncIteration
            self._some.clear()
            await self._some.wait()
        if self._lost:
            what, count = self._lost.popitem()
            return Event(_time(self._items[0]), {"event": "dropped", "what": what, "count": count, "reason": "slow"})
        item = self._items.popleft()
        return self._merged(item) if isinstance(item, Rows) else item

    def _wanted(self, item: Item) -> bool:
        if isinstance(item, Event):
            return item.told["event"] != "body" or "body" in self._wants
        return ("coefficients" if isinstance(item, Rows) else "sound") in self._wants

    def _drop(self) -> None:
        for place, item in enumerate(self._items):
            if not isinstance(item, Event):
                del self._items[place]
                rows = isinstance(item, Rows)
                self._lost["rows" if rows else "blocks"] += len(item) if isinstance(item, Rows) else 1
                self.dropped += 1
                return
        # Nothing but events, from a listener that has stopped reading: it is lost anyway.
        self.starved = True
        self.close()

    def _merged(self, first: Rows) -> Rows:
        held, count = [first], len(first)
        while self._items and first.turns is None:
            following = self._items[0]
            if not isinstance(following, Rows) or following.rest != first.rest or following.turns is not None:
                break
            count += len(following)
            if count > MOST_MERGED:
                break
            held.append(following)
            self._items.popleft()
        if len(held) == 1:
            return first
        return Rows(
            np.concatenate([one.times for one in held]), np.concatenate([one.values for one in held]), first.rest
        )


def _bones(item: Item) -> bool:
    return isinstance(item, Event) and item.told["event"] == "body"


def _time(item: Item) -> int:
    return int(item.times[0]) if isinstance(item, Rows) else item.time
