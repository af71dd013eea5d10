"""Who listens to a session: terminals, which take its items in their own time, and sinks, which take its sound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kouxing.server.outlet import Item, Outlet
from kouxing.server.protocol import Sound, to_float
from kouxing.types import Float


class Sink(Protocol):
    """Hears what the session hears or says (a rendered stream)."""

    def push_sound(self, samples: Float) -> object:
        """``[N] float32`` at 16 kHz."""
        ...

    def interrupt(self) -> None:
        """What was pushed and not yet shown is to be forgotten."""
        ...

    def end(self) -> None:
        """No more sound for now."""
        ...


class Audience:
    """One session's listeners.

    Args:
        waiting: items that may wait for each outlet.
    """

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting
        self._outlets: set[Outlet] = set()
        self._sinks: list[Sink] = []
        self._closed = False

    def __len__(self) -> int:
        return len(self._outlets) + len(self._sinks)

    @property
    def keeps(self) -> bool:
        """Whether the session is to go on for one of them though its own terminal is gone."""
        return bool(self._sinks) or any(outlet.keeps for outlet in self._outlets)

    def out(self, wants: Iterable[str], keeps: bool) -> Outlet:
        """A new outlet from now on; it has ended already where the session is over."""
        outlet = Outlet(wants, self._waiting, self._outlets.discard, keeps)
        if self._closed:
            outlet.end()
        else:
            self._outlets.add(outlet)
        return outlet

    def attach(self, sink: Sink) -> None:
        """Let it hear from now on."""
        self._sinks.append(sink)

    def detach(self, sink: Sink) -> None:
        """Let it go."""
        if sink in self._sinks:
            self._sinks.remove(sink)

    def send(self, item: Item) -> None:
        """Give an item to all outlets."""
        for outlet in list(self._outlets):
            outlet.put(item)

    def hear(self, sound: Sound) -> None:
        """Give sound, ``[N] int16`` at 16 kHz, to all sinks."""
        for sink in self._sinks:
            sink.push_sound(to_float(sound))

    def pause(self) -> None:
        """No more sound for now."""
        for sink in self._sinks:
            sink.end()

    def interrupt(self, time: int) -> None:
        """What stands at or after ``time`` on the session's clock is to be forgotten."""
        for outlet in self._outlets:
            outlet.purge(time)
        for sink in self._sinks:
            sink.interrupt()

    def close(self) -> None:
        """The session is over."""
        self._closed = True
        for outlet in list(self._outlets):
            outlet.end()
