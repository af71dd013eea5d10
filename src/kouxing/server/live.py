"""The live server's state: sessions and their terminals, worker processes, text to speech, motion capture, time."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from kouxing.errors import KouxingError, OptionError
from kouxing.server.hello import Hello, wish_of
from kouxing.server.limits import Limits, Strangers
from kouxing.server.mixing import FACE, Mixer, read_rules
from kouxing.server.mocap import Hub
from kouxing.server.mocap_frames import Capture, Frame
from kouxing.server.outlet import Event
from kouxing.server.pool import Pool
from kouxing.server.protocol import Refused, Rows
from kouxing.server.security import Guard
from kouxing.server.session import Session
from kouxing.server.terminal import Link
from kouxing.server.text import Speaking
from kouxing.server.texts import Speak
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

LOG = logging.getLogger("kouxing.server")
TICK_S = 1 / COEFFICIENT_HZ
BODY_EVERY = 2
"""Ticks between two events of captured bones."""


@dataclass
class Counts:
    """What happened since the start."""

    sessions: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    heard: int = 0
    dropped: int = 0
    interrupts: int = 0
    slow_terminals: int = 0


class Closing(Protocol):
    """Part of the server that is to be ended."""

    async def close(self) -> None:
        """End it."""
        ...


def _nothing() -> None:
    """Nobody waits for the server to be ready."""


class Live:
    """All sessions of one server.

    Args:
        pool: the worker processes; started and ended here.
        guard: who may come in.
        limits: how much.
        method: of sessions that ask for none.
        speaking: text to speech; None: texts are refused.
        captures: motion capture of the whole server; None: none.
    """

    def __init__(
        self,
        pool: Pool,
        guard: Guard,
        limits: Limits = Limits(),
        method: str = "mouth",
        speaking: Speaking | None = None,
        captures: Hub | None = None,
    ) -> None:
        self.pool, self.guard, self.limits, self.method = pool, guard, limits, method
        self.counts = Counts()
        self.connections = 0
        self.strangers = Strangers(limits.strangers)
        self._speaking, self._captures = speaking, captures
        self._sessions: dict[str, Session] = {}
        self._links: dict[str, Link] = {}
        self._webcams: dict[str, Capture] = {}
        self._mixers: dict[str, Mixer] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._failing: set[str] = set()
        self._others: list[Closing] = []
        self._works: list[Callable[[], Coroutine[None, None, None]]] = []
        self.when_ready: Callable[[], None] = _nothing
        self.when_lost: Callable[[], None] = _nothing
        self.fault: KouxingError | None = None
        self._over = False

    async def start(self) -> None:
        """Start the workers; ready when this returns.

        Raises:
            OptionError: they do not come up.
        """
        await self.pool.start()
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._tick()))
        if self._speaking is not None:
            self._tasks.append(loop.create_task(self._warm(self._speaking)))
        for work in self._works:
            self._tasks.append(loop.create_task(work()))
        self.when_ready()

    async def close(self) -> None:
        """End everything; once."""
        if self._over:
            return
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        links = list(self._links.values())
        for session in list(self._sessions.values()):
            session.abandoned = True
            self.end(session)
        await asyncio.gather(*(link.ended() for link in links))
        for other in self._others:
            await other.close()
        if self._speaking is not None:
            await self._speaking.close()
        if self._captures is not None:
            self._captures.close()
        await self.pool.close()

    def give_up(self, fault: KouxingError) -> None:
        """The server cannot work, and why."""
        self.fault = fault
        self.when_lost()

    def also(self, other: Closing, work: Callable[[], Coroutine[None, None, None]] | None = None) -> None:
        """Something that ends with the server, and what it does while the server runs."""
        self._others.append(other)
        if work is not None:
            self._works.append(work)

    @property
    def speak(self) -> Speak | None:
        """Text to speech, where there is one."""
        return None if self._speaking is None else self._speaking.speak

    def find(self, name: str) -> Session | None:
        """A session by its id, or None."""
        return self._sessions.get(name)

    @property
    def sessions(self) -> list[Session]:
        """All that are alive, without the server's own."""
        return [session for session in self._sessions.values() if not session.lasting]

    @property
    def lost(self) -> int:
        """Items that slow terminals lost."""
        return self.counts.slow_terminals + sum(link.dropped for link in self._links.values())

    def delays_s(self) -> list[float]:
        """Of the rows of speech sent lately: real time minus the row's, sorted."""
        return sorted(delay for session in self._sessions.values() for delay in session.delays_s)

    def capture_counts(self) -> dict[str, dict[str, int]]:
        """What came from each source of motion capture."""
        return {} if self._captures is None else self._captures.counts()

    def look_ahead_ms(self, method: str) -> float:
        """Sound that a row waits for, 0 while no worker has told it yet."""
        return self.pool.look_ahead_ms.get(method, 0.0)

    def create(self, hello: Hello, lasting: bool = False) -> Session:
        """A new session.

        Args:
            hello: what it is to be.
            lasting: it is the server's own, which nobody need hold and which takes nobody's place.

        Raises:
            Refused: there are as many as may be, or what is asked cannot be.
        """
        if not lasting and len(self.sessions) >= self.limits.sessions and not self._make_room():
            raise Refused("busy", f"there are {self.limits.sessions} sessions, as many as this server takes; try later")
        name = secrets.token_hex(16)
        wish = wish_of(hello, self.method, int(name[:8], 16))
        session = Session(name, wish, self.pool, self.limits, time.monotonic, self.speak)
        session.lasting, session.mood = lasting, hello.emotion
        self._sessions[name] = session
        self.counts.sessions += not lasting
        if self._captures is not None:
            self._mix(session)
        return session

    def session(self, name: str) -> Session:
        """By its id.

        Raises:
            Refused: there is none.
        """
        found = self._sessions.get(name)
        if found is None:
            raise Refused("session", "there is no such session, or it is over")
        return found

    def link(self, session: Session, hello: Hello) -> Link:
        """The session's own terminal; made where it has none yet."""
        if session.name not in self._links:
            self._links[session.name] = Link(session, hello, self.limits.keep_s)
        return self._links[session.name]

    def end(self, session: Session) -> None:
        """A session is over."""
        if self._sessions.pop(session.name, None) is None:
            return
        self.counts.rows += session.counts.rows
        self.counts.heard += session.counts.heard
        self.counts.dropped += session.counts.dropped
        self.counts.interrupts += session.counts.interrupts
        try:
            session.close()
        except Exception:
            LOG.exception("a session's end failed; it is over all the same")
        link = self._links.pop(session.name, None)
        if link is not None:
            self.counts.slow_terminals += link.dropped
        self._webcams.pop(session.name, None)
        self._mixers.pop(session.name, None)

    def captured(self, session: Session, rows: Rows) -> None:
        """Motion that a terminal's webcam saw."""
        if session.name not in self._webcams:
            self._webcams[session.name] = Capture()
            self._mix(session)
        now = time.monotonic()
        turns = None if rows.turns is None else rows.turns[-1]
        self._webcams[session.name].push(Frame(now, rows.values[-1], turns))

    def mix(self, session: Session, rules: str) -> None:
        """Whose motion moves what.

        Raises:
            Refused: rules that are none.
        """
        try:
            wanted = read_rules(rules)
        except OptionError as error:
            raise Refused("refused", str(error).replace("--mix", "mix")) from None
        self._mix(session)
        self._mixers[session.name].rules = wanted

    def _mix(self, session: Session) -> None:
        """The session's rows go through a mixer from now on."""
        webcam = self._webcams.get(session.name)
        faces = (*(() if webcam is None else (webcam,)), *(() if self._captures is None else self._captures.faces))
        mixer = self._mixers.setdefault(session.name, Mixer(FACE))
        mixer.captures = faces

        def mixed(rows: Rows) -> Rows:
            speaking = session.speaks and not rows.rest
            values = mixer.mix(rows.values, rows.times / SAMPLE_HZ, time.monotonic(), speaking)
            still = rows.rest and values is rows.values
            return Rows(rows.times, np.clip(values, 0, 1), still, mixer.rotations)

        session.mixer = mixed

    async def _warm(self, speaking: Speaking) -> None:
        """The first text shall not wait for the speaker's start."""
        # The operator hears of a speaker that does not work now, not when the first client asks.
        try:
            await speaking.warm()
        except Exception as error:  # noqa: BLE001 - any speaker of anybody; texts then fail one by one
            LOG.warning("text to speech does not work: %s", error)

    async def _tick(self) -> None:
        """Time for all sessions."""
        loop = asyncio.get_running_loop()
        due, number = loop.time(), 0
        while True:
            due = max(due + TICK_S, loop.time() - TICK_S)
            await asyncio.sleep(max(0.0, due - loop.time()))
            number += 1
            for session in list(self._sessions.values()):
                try:
                    session.tick()
                except Exception:
                    LOG.exception("session failed; it ends")
                    self.end(session)
            if number % BODY_EVERY == 0 and self._captures is not None:
                self._try(self._tell_body, "telling captured bones")
            if number % COEFFICIENT_HZ == 0:
                self._try(self._expire, "ending what nobody holds")

    def _try(self, work: Callable[[], None], what: str) -> None:
        """Do work that shall not stop the time of all; the log tells of its failing once until it has worked again."""
        try:
            work()
            self._failing.discard(what)
        except Exception:
            if what not in self._failing:
                self._failing.add(what)
                LOG.exception("%s failed; time goes on", what)

    def _make_room(self) -> bool:
        """End the session that nobody holds for the longest time, if there is one."""
        alone = [
            (link.left_s, self._sessions[name])
            for name, link in self._links.items()
            if link.left_s is not None and link.joined and not self._sessions[name].wanted
        ]
        if alone:
            self.end(min(alone, key=lambda one: one[0])[1])
        return bool(alone)

    def _tell_body(self) -> None:
        assert self._captures is not None
        body = self._captures.body()
        if not body.bones and body.root is None:
            return
        bones = {name: list(pose) for name, pose in body.bones.items()}
        root = None if body.root is None else list(body.root)
        for session in self._sessions.values():
            session.send(Event(session.time, {"event": "body", "bones": bones, "root": root}))

    def _expire(self) -> None:
        """End sessions whose terminals, or watchers, did not come back."""
        now = time.monotonic()
        for session in list(self._sessions.values()):
            link = self._links.get(session.name)
            if link is None or link.left_s is None:
                continue
            if session.wanted:
                # Watchers alone hold it: they may come back, too, from when the last of them goes.
                link.left_s = now
            elif now - link.left_s > (self.limits.keep_s if link.joined else self.limits.wait_s):
                self.end(session)
