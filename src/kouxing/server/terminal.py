"""One terminal's WebSocket: hello, frames both ways, resume, and the ways it can end."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from kouxing.arkit import COEFFICIENTS, ROTATIONS
from kouxing.server.deadline import within
from kouxing.server.hello import Bye, End, Hello, Interrupt, Mix, MoodEvent, Say, read_event, read_hello, shares
from kouxing.server.limits import Bucket
from kouxing.server.outlet import Event
from kouxing.server.protocol import (
    ENCODINGS,
    MOST_PING_BYTES,
    VERSION,
    Frame,
    Kind,
    Refused,
    decode,
    encode,
    read_rows,
    read_sound,
)
from kouxing.server.protocol import read_event as event_of
from kouxing.server.session import Session
from kouxing.server.wire import Wire
from kouxing.server.wish import Wish
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

if TYPE_CHECKING:
    from kouxing.server.live import Live

LOG = logging.getLogger("kouxing.server")
CLOSE_S = 1.0
"""A terminal that does not take the goodbye is left."""
DONE, GOING_AWAY = 1000, 1001
"""Close codes where nothing is wrong (RFC 6455, section 7.4.1)."""
REASON_BYTES = 120
"""Of a close frame's reason, which may have 123."""


class Link:
    """A session's terminal: what goes out is encoded and remembered also while no connection stands.

    Args:
        session: whose.
        hello: what the terminal wants.
        keep_s: for a resume.
    """

    def __init__(self, session: Session, hello: Hello, keep_s: float) -> None:
        self.session = session
        self.hello = hello
        self.received = 0
        self.left_s: float | None = time.monotonic()
        self.joined = False
        self._outlet = session.out(hello.output, keeps=hello.watch is not None)
        self._wire = Wire(ENCODINGS[hello.encoding], keep_s, hello.rotations)
        self._socket: WebSocket | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._run([])

    @property
    def dropped(self) -> int:
        """Items that a slow terminal lost."""
        return self._outlet.dropped

    def join(self, socket: WebSocket, last: int) -> None:
        """A connection takes over; what it missed since frame ``last`` is sent again."""
        old = self._socket
        # Who comes for the first time has missed nothing, however long the session stood ready.
        waiting, lost = self._wire.since(last) if self.joined else ([], 0)
        if old is not None:
            self._closing = asyncio.get_running_loop().create_task(
                refuse(old, Refused("taken", "the session goes on elsewhere"))
            )
        self._socket, self.left_s, self.joined = socket, None, True
        if lost:
            told = {"event": "dropped", "what": "frames", "count": lost, "reason": "resume"}
            waiting += self._wire.frames(Event(self.session.time, told), self.session.time)
        self._run(waiting)

    def holds(self, socket: WebSocket) -> bool:
        """Whether this connection is the terminal's; another one may have taken over."""
        return self._socket is socket

    def part(self, socket: WebSocket) -> None:
        """A connection is gone."""
        if self.holds(socket):
            self._socket, self.left_s = None, time.monotonic()

    def last_word(self, refused: Refused) -> bytes:
        """A fatal error as the next frame."""
        told = {"event": "error", "code": refused.code, "message": str(refused), "fatal": True}
        return self._wire.last(Event(self.session.time, told))

    def close(self) -> None:
        """The terminal is not wanted any more."""
        self._outlet.close()
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Wait until a session that is over has been seen off."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_S)

    def _run(self, first: list[bytes]) -> None:
        if self._task is not None:
            # What it was just sending lies in the wire's memory and comes with `first`.
            self._task.cancel()
        self._task = asyncio.get_running_loop().create_task(self._send_all(first))

    async def _send_all(self, first: list[bytes]) -> None:
        for data in first:
            await self._send(data)
        async for item in self._outlet:
            for data in self._wire.frames(item, self.session.time):
                await self._send(data)
        if self._socket is None:
            return
        if self._outlet.starved:
            # Not the end that a terminal takes for good: it may come again, by a better way.
            await refuse(self._socket, Refused("busy", "the terminal reads too slowly"))
            return
        with suppress(RuntimeError, WebSocketDisconnect):
            await self._socket.close(GOING_AWAY if self.session.abandoned else DONE)

    async def _send(self, data: bytes) -> None:
        socket = self._socket
        if socket is None:
            return
        try:
            await socket.send_bytes(data)
        except (WebSocketDisconnect, RuntimeError):
            # RuntimeError: Starlette's word for a socket that was closed meanwhile.
            self.part(socket)


async def refuse(socket: WebSocket, refused: Refused, last_word: bytes | str | None = None) -> None:
    """Say why, then close.

    Args:
        socket: accepted.
        refused: why.
        last_word: the error as the client understands it at this point; text before it was greeted. None: only close.
    """
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        if isinstance(last_word, bytes):
            await within(socket.send_bytes(last_word), CLOSE_S)
        elif last_word is not None:
            await within(socket.send_text(last_word), CLOSE_S)
        reason = str(refused).encode()[:REASON_BYTES].decode(errors="ignore")
        await within(socket.close(refused.close, reason), CLOSE_S)


def error_text(refused: Refused) -> str:
    """An error before the hello answer."""
    return json.dumps({"error": {"code": refused.code, "message": str(refused)}}, ensure_ascii=False)


class Terminal:
    """One connection.

    Args:
        live: the server.
        socket: accepted or not.
    """

    def __init__(self, live: Live, socket: WebSocket) -> None:
        self._live, self._socket = live, socket
        self._link: Link | None = None
        self._watching = False
        limits = live.limits
        self._bucket = Bucket(limits.messages_hz, limits.messages_hz * limits.burst_s, time.monotonic())

    async def serve(self) -> None:
        """The whole life of the connection."""
        await self._socket.accept()
        try:
            self._live.guard.check_origin(self._socket.headers)
            client = self._socket.client
            with self._live.strangers.waiting(client.host if client else ""):
                hello = await self._hello()
            await self._enter(hello)
            await self._read()
        except Refused as refused:
            self._live.counts.refused[refused.code] += 1
            await self._refuse(refused)
        except WebSocketDisconnect:
            pass
        except Exception:
            LOG.exception("a terminal's connection failed")
            await self._refuse(Refused("fault", "a fault of the server; its log tells more"))
        finally:
            self._leave()

    async def _refuse(self, refused: Refused) -> None:
        link = self._link
        if link is None:
            await refuse(self._socket, refused, error_text(refused))
            return
        # To one that was replaced, nothing: the frames' numbers are its successor's.
        own = link.holds(self._socket)
        await refuse(self._socket, refused, link.last_word(refused) if own else None)
        if not self._watching and link.holds(self._socket):
            # Who breaks the protocol shall not hold a session for it.
            self._live.end(link.session)

    async def _hello(self) -> Hello:
        try:
            message = await within(self._socket.receive(), self._live.limits.hello_s)
        except TimeoutError:
            raise Refused("timeout", f"no hello within {self._live.limits.hello_s:g} s") from None
        if message["type"] != "websocket.receive":
            raise WebSocketDisconnect(int(message.get("code") or 1006))
        text = message.get("text")
        if text is None:
            raise Refused("malformed", "the hello is JSON text, not binary")
        hello = read_hello(text)
        self._live.guard.check_token(hello.token)
        return hello

    async def _enter(self, hello: Hello) -> None:
        last = 0
        resumed = False
        if hello.watch is not None:
            session = self._live.session(hello.watch)
            self._watching = True
            link = Link(session, hello, self._live.limits.keep_s)
        elif hello.resume is not None:
            session = self._live.session(hello.resume.session)
            link, last, resumed = self._live.link(session, hello), hello.resume.last, True
        else:
            session = self._live.create(hello)
            link = self._live.link(session, hello)
            link.joined = True
        try:
            await self._socket.send_text(json.dumps(answer(self._live, link, resumed)))
        except BaseException:
            if self._watching:
                # Nobody else would let go of it, and it would keep the session.
                link.close()
            raise
        self._link = link
        link.join(self._socket, last)

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                return
            data = message.get("bytes")
            if data is None:
                raise Refused("malformed", "after the hello every message is binary")
            if self._link is not None and not self._link.holds(self._socket):
                # Another connection took over, and says so to this one; until then nothing is heard here.
                continue
            if not self._bucket.take(time.monotonic()):
                raise Refused("busy", f"more than {self._live.limits.messages_hz:g} messages a second")
            if await self._take(decode(data)):
                with suppress(RuntimeError):
                    await self._socket.close(DONE)
                return

    async def _take(self, frame: Frame) -> bool:
        """Act on a frame; True where it is the last."""
        assert self._link is not None
        session = self._link.session
        if session.closed:
            # It came before the session ended; who sends its last frames closes the connection.
            return False
        if frame.kind is Kind.PING or frame.kind is Kind.PONG:
            if len(frame.payload) > MOST_PING_BYTES:
                raise Refused("malformed", f"a ping has at most {MOST_PING_BYTES} bytes")
            if frame.kind is Kind.PING:
                await self._socket.send_bytes(encode(Frame(Kind.PONG, frame.payload, session.time)))
            return False
        if self._watching:
            told = event_of(frame) if frame.kind is Kind.EVENT else {}
            if told.get("event") != "bye":
                raise Refused("malformed", "a watching terminal sends nothing but pings")
            return True
        if frame.sequence <= self._link.received:
            return False
        self._link.received = frame.sequence
        if frame.kind is Kind.SOUND:
            session.push_sound(read_sound(frame), frame.time)
        elif frame.kind is Kind.ROWS:
            self._live.captured(session, read_rows(frame))
        else:
            return self._obey(session, event_of(frame))
        return False

    def _obey(self, session: Session, told: dict[str, Any]) -> bool:
        wanted = read_event(told)
        try:
            return obey(self._live, session, wanted)
        except Refused as refused:
            if refused.code != "refused":
                raise
            name = getattr(wanted, "id", None)
            session.tell("error", code=refused.code, message=str(refused), fatal=False, id=name)
            return False

    def _leave(self) -> None:
        if self._link is None:
            return
        if self._watching:
            self._link.close()
        else:
            self._link.part(self._socket)


def obey(live: Live, session: Session, wanted: Any) -> bool:
    """Do what a client's event asks for; True where the session is over.

    Raises:
        Refused: it cannot be.
    """
    if isinstance(wanted, End):
        session.end()
    elif isinstance(wanted, Interrupt):
        session.interrupt()
    elif isinstance(wanted, Say):
        session.say(wanted.text, wanted.language, wanted.id)
    elif isinstance(wanted, MoodEvent):
        session.change(_changed(session.wish, wanted))
        if wanted.emotion is not None:
            session.mood = wanted.emotion
        session.tell("mood", emotion=session.mood, mouth=session.wish.manner.mouth)
    elif isinstance(wanted, Mix):
        live.mix(session, wanted.rules)
    elif isinstance(wanted, Bye):
        live.end(session)
        return True
    return False


def _changed(wish: Wish, wanted: MoodEvent) -> Wish:
    manner = wish.manner
    if wanted.emotion is not None:
        manner = replace(manner, emotion=shares(wanted.emotion, wish.method))
    if wanted.mouth is not None:
        manner = replace(manner, mouth=wanted.mouth)
    return replace(wish, manner=manner)


def answer(live: Live, link: Link, resumed: bool) -> dict[str, Any]:
    """The hello answer."""
    limits, session = live.limits, link.session
    return {
        "kouxing": VERSION,
        "session": session.name,
        "resumed": resumed,
        "received": link.received,
        "time": session.time,
        "method": session.wish.method,
        "sample_hz": SAMPLE_HZ,
        "row_hz": COEFFICIENT_HZ,
        "look_ahead_ms": round(live.look_ahead_ms(session.wish.method), 1),
        "lead_ms": round(1000 * limits.lead_s),
        "keep_s": limits.keep_s,
        "coefficients": list(COEFFICIENTS),
        "rotations": list(ROTATIONS),
        "output": list(link.hello.output),
        "encoding": link.hello.encoding,
        "limits": {
            "message_bytes": limits.message_bytes,
            "messages_hz": limits.messages_hz,
            "queue_s": limits.queue_s,
            "text_chars": limits.text_chars,
        },
    }
