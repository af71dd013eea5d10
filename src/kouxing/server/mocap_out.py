"""Motion out: a session's rows to VMC and Live Link receivers while they are made, each when it is due.

    out = MotionOut(["vmc://127.0.0.1:39539", "livelink://127.0.0.1"], body=hub.body)
    out.feed(rows, times_s, rotations, present_s)     # from the event loop; never waits
    out.interrupt()
    out.close()

Rows are made ahead of their time; a thread holds them until then, so that the pace is the receivers', whatever the
network that makes them does. What is late by more than a tenth of a second is left out and counted.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import KouxingError, OptionError
from kouxing.export.send import MOST_LATE_S, Sender, Sent, target
from kouxing.server.mocap_frames import NO_BODY, Body
from kouxing.server.outlet import Event, Item
from kouxing.server.protocol import Rows
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

if TYPE_CHECKING:
    from kouxing.server.session import Session

MOST_ROWS = 10 * COEFFICIENT_HZ
"""Rows that wait; beyond that the oldest are dropped."""
MOST_DAY_S = 0.5
"""The time of day is set anew when it is off by more; all less would only make the pace uneven."""
MOST_AHEAD_S = 5.0
"""A row that would be due later than this stands on another clock than those before: it begins a new one."""


class MotionOut:
    """Sends one session's face, and a captured body, to any number of receivers.

    Args:
        urls: ``vmc://host:port`` and ``livelink://host:port``.
        body: gives the bones to pass on.
        delay_s: a row goes out so long after the session's present reaches its time; as long as terminals that
            play the sound hold it back, so that both are seen together.
        clock: seconds, increasing.
        senders: made from ``urls`` by default; for tests.

    Raises:
        OptionError: a wrong or unreachable address.
    """

    def __init__(
        self,
        urls: Sequence[str],
        body: Callable[[], Body] = lambda: NO_BODY,
        delay_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        senders: Sequence[Sender] | None = None,
    ) -> None:
        self._senders = tuple(senders) if senders is not None else _opened(urls)
        self._names = tuple(urls)
        self._body, self._delay_s, self._clock = body, delay_s, clock
        self._day = self._midnight()
        self._waiting: deque[tuple[float, Float, Float | None]] = deque()
        self._anchor_s: float | None = None
        self._news = threading.Condition()
        self._ended = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="motion out", daemon=True)
        self._thread.start()

    def __enter__(self) -> MotionOut:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def sent(self) -> dict[str, Sent]:
        """Counts by address."""
        return {name: one.sent for name, one in zip(self._names, self._senders, strict=True)}

    def feed(
        self,
        rows: Float,
        times_s: NDArray[np.float64],
        rotations: Float | None = None,
        present_s: float | None = None,
    ) -> None:
        """Take rows; never waits.

        Args:
            rows: ``[n, 52]``, 0..1. times_s: ``[n]`` on the session's clock, increasing.
            rotations: ``[n, 9]`` radians or None.
            present_s: what the session's clock shows now; without it the first row is taken for due now.
        """
        if not len(rows):
            return
        now = self._clock()
        with self._news:
            if present_s is not None:
                self._anchor_s = now - present_s + self._delay_s
            elif self._anchor_s is None or not -MOST_LATE_S <= self._anchor_s + times_s[0] - now <= MOST_AHEAD_S:
                self._anchor_s = now - float(times_s[0]) + self._delay_s
            for row, moment in enumerate(times_s):
                turns = None if rotations is None else rotations[row]
                self._waiting.append((self._anchor_s + float(moment), rows[row], turns))
            while len(self._waiting) > MOST_ROWS:
                self._waiting.popleft()
                self.dropped += 1
            self._news.notify()

    def interrupt(self) -> None:
        """Forget what is not yet due."""
        with self._news:
            self._waiting.clear()

    def close(self) -> None:
        """End the thread and free the sockets; rows that wait are lost."""
        with self._news:
            self._ended = True
            self._news.notify()
        self._thread.join(5)
        for sender in self._senders:
            sender.close()

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._ended and not self._due():
                    left = self._waiting[0][0] - self._clock() if self._waiting else None
                    self._news.wait(None if left is None else max(left, 0.0))
                if self._ended:
                    return
                due_s, values, turns = self._waiting.popleft()
            late = self._clock() - due_s
            for sender in self._senders:
                self._send(sender, due_s, late, values, turns)

    def _midnight(self) -> Fraction:
        """What to add to the clock for the time of day, which Live Link's packets tell."""
        now = datetime.now()
        day_s = (now.hour * 60 + now.minute) * 60 + now.second + Fraction(now.microsecond, 1_000_000)
        return day_s - Fraction(self._clock())

    def _due(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= self._clock()

    def _send(self, sender: Sender, due_s: float, late: float, values: Float, turns: Float | None) -> None:
        if late > MOST_LATE_S:
            sender.sent.late += 1
            return
        body = self._body()
        midnight = self._midnight()
        if abs(midnight - self._day) > MOST_DAY_S:
            # Summer time began, or the machine slept.
            self._day = midnight
        moment = self._day + Fraction(due_s).limit_denominator(COEFFICIENT_HZ * 1000)
        if sender.send(values, turns, moment, body.bones, body.root):
            sender.sent.worst_late_ms = max(sender.sent.worst_late_ms, late * 1000)


def follower(out: MotionOut, session: Session) -> Callable[[Item], None]:
    """A function that takes every item that a session gives, and sends its motion out."""

    def take(item: Item) -> None:
        if isinstance(item, Rows):
            out.feed(item.values, item.times / SAMPLE_HZ, item.turns, session.time / SAMPLE_HZ)
        elif isinstance(item, Event) and item.told["event"] == "interrupt":
            out.interrupt()

    return take


def _opened(urls: Sequence[str]) -> tuple[Sender, ...]:
    made: list[Sender] = []
    try:
        for url in urls:
            made.append(Sender(target(url)))
    except KouxingError:
        for sender in made:
            sender.close()
        raise
    return tuple(made)


def check_no_loop(captures: Sequence[str], urls: Sequence[str]) -> None:
    """What is sent must not come back as capture.

    Raises:
        OptionError: a receiver's address is one that this server itself listens to.
    """
    from kouxing.server.mocap import HELLO, source

    heard = [place for place in map(source, (one for one in captures if "://" in one)) if place.protocol not in HELLO]
    for url in urls:
        to = target(url)
        for place in heard:
            if place.port == to.port and _reaches(to.host, place.host):
                raise OptionError(
                    f"--send {url}: this server listens there itself (--capture {place}); choose another port"
                )


def _reaches(host: str, listener: str) -> bool:
    """Whether what is sent to ``host`` comes to ``listener``, an address of this machine or all of them."""
    sent = _addresses(host)
    if listener in ("0.0.0.0", "::"):
        return any(map(_is_here, sent))
    return not sent.isdisjoint(_addresses(listener))


def _addresses(host: str) -> set[str]:
    try:
        return {str(row[4][0]) for row in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)}
    except (OSError, UnicodeError):
        # Whoever sends there is told so.
        return {host}


def _is_here(address: str) -> bool:
    """Whether it is this machine's: a socket can be bound to no other."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as tried:
            tried.bind((address, 0))
    except OSError:
        return False
    return True
