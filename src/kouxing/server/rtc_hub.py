"""Rendered streams for viewers: which there are, how many there may be, and the HTTP addresses by which they are had.

hub = RenderHub(RenderSettings(footage=Path("talk.mp4")))
hub.prepare()
app.include_router(rtc_router(hub))
"""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from kouxing import config
from kouxing.errors import KouxingError, MediaError, OptionError
from kouxing.infer import morphs
from kouxing.infer.animate import HEAD
from kouxing.infer.avatar import avatar
from kouxing.infer.render import check
from kouxing.media.reader import read_sound
from kouxing.server import footage as footages
from kouxing.server.playout import LONGEST_S
from kouxing.server.render_stream import Clock, RenderedStream
from kouxing.server.rtc_peer import Ice, Peer, check_offer
from kouxing.server.speakers import AvatarPlan, FootagePlan
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ

GRACE_S = 5.0
"""A stream that nobody views is kept for so long: a page may be loaded again."""

WAITING_S, ROOM_S = 2.0, 0.1
"""A text's next piece is spoken while less waits than the first; looked at every so often."""

Source = Literal["footage", "avatar"]


class Heard(Protocol):
    """What a live session tells of its sound (a ``RenderedStream`` listens)."""

    def push_sound(self, samples: Float) -> object: ...
    def interrupt(self) -> None: ...
    def end(self) -> None: ...


class Session(Protocol):
    """A live session whose sound can be listened to."""

    def attach(self, sink: Heard) -> None: ...
    def detach(self, sink: Heard) -> None: ...


class Piece(Protocol):
    """A part of a spoken text, ``[N] float32`` at ``SAMPLE_HZ``."""

    @property
    def samples(self) -> Float: ...


@dataclass(frozen=True)
class RenderSettings:
    """What is rendered, and limits.

    Attributes:
        footage: video or photo of a person who speaks by ``lips``; None for none.
        avatar: GLB with ARKit's morph targets, or a photo that is made into one; None for the bundled head.
        method: of the avatar, ``mouth`` or ``expression``.
        idle: of the footage while nobody speaks, ``closed`` or ``filmed``. preset: ``fast`` or ``fine``.
        person: file of ``fit`` (.kx) for the footage. face_index: in footage or photo, 0 = the largest.
        side_px: of the pictures' shorter side.
        mouth: opening coefficient, 0..3.
        streams: rendered at the same time, each a process that takes most of a core; by default cores but one.
        viewers: of one stream.
        ice: where viewers can be reached.
        keep: folder for prepared footage, so that the next start is quick; a private temporary one by default.
    """

    footage: Path | None = None
    avatar: Path | None = None
    method: str = "mouth"
    idle: str = "closed"
    preset: str = "fast"
    person: Path | None = None
    face_index: int = 0
    side_px: int = footages.SIDE_PX
    mouth: float = 1.0
    streams: int = field(default_factory=lambda: max(1, config.cores() - 1))
    viewers: int = 4
    ice: Ice = field(default_factory=Ice)
    keep: Path | None = None


class BusyError(KouxingError):
    """There are as many streams or viewers as there may be."""


class MissingError(KouxingError):
    """No such stream, viewer or session."""


class RenderHub:
    """All rendered streams of a server.

    Args:
        settings: what is rendered.
        find_session: id -> live session, so that a stream can show what that one hears.
        speak: (text, language) -> pieces of speech; None where texts are not spoken.
        clock: of the streams.
    """

    def __init__(
        self,
        settings: RenderSettings,
        find_session: Callable[[str], Session | None] | None = None,
        speak: Callable[[str, str], AsyncIterator[Piece]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._find_session = find_session
        self._speak = speak
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._plans: dict[str, FootagePlan | AvatarPlan] = {}
        self._streams: dict[str, RenderedStream] = {}
        self._peers: dict[str, tuple[str, Peer]] = {}
        self._links: dict[str, tuple[Session, RenderedStream]] = {}
        self._starting = 0
        self._ended = {"pictures": 0, "late": 0, "missing": 0, "skipped": 0, "restarts": 0}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._preparing = asyncio.Lock()
        self._closed = False

    def prepare(self, progress: footages.Progress | None = None) -> None:
        """Make ready what is shown; may take a minute. Again it takes no time.

        Raises:
            KouxingError: footage or avatar cannot be used, or a setting is out of range.
        """
        wanted = self._settings
        if self._plans:
            return
        if wanted.streams < 1 or wanted.viewers < 1:
            raise OptionError("streams and viewers: give at least 1")
        plans: dict[str, FootagePlan | AvatarPlan] = {}
        if wanted.footage is not None:
            place = wanted.keep or self._private() / "footage"
            footages.prepare(
                wanted.footage, place, side_px=wanted.side_px, preset=wanted.preset,
                face_index=wanted.face_index, person=wanted.person, progress=progress,
            )  # fmt: skip
            plans["footage"] = FootagePlan(place, wanted.idle, wanted.mouth, wanted.person)
        if wanted.footage is None or wanted.avatar is not None:
            check()
            plans["avatar"] = AvatarPlan(self._head(wanted), wanted.method, wanted.side_px, wanted.mouth)
        self._plans = plans

    async def close(self) -> None:
        """End all streams and forget what was prepared."""
        self._closed = True
        for task in self._leaving.values():
            task.cancel()
        for _, peer in list(self._peers.values()):
            await peer.close()
        for identity in list(self._streams):
            await self._end(identity)
        self._plans = {}
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def answer(
        self, offer: str, source: str | None = None, stream: str | None = None, session: str | None = None,
        codec: str | None = None,
    ) -> tuple[str, str, str]:  # fmt: skip
        """A viewer's offer -> the answer's SDP, the viewer's id, the stream's id.

        Args:
            offer: SDP.
            source: ``footage`` or ``avatar``, for a new stream; by default what there is, footage first.
            stream: id of a stream that is viewed already.
            session: id of a live session whose sound the new stream shows.
            codec: ``h264`` or ``vp8``.

        Raises:
            OptionError: a value that makes no sense. MissingError: no such source, stream or session.
            BusyError: too many. KouxingError: the stream does not start.
        """
        check_offer(offer)
        identity, shown = await self._stream(source, stream, session)
        if sum(name == identity for name, _ in self._peers.values()) >= self._settings.viewers:
            raise BusyError(f"stream has {self._settings.viewers} viewers already; open another one")
        name = secrets.token_urlsafe(12)
        say = None if self._speak is None else lambda text, language: self._say(shown, text, language)
        peer = Peer(name, shown, self._settings.ice, say, self._gone)
        self._peers[name] = (identity, peer)
        try:
            return await peer.answer(offer, codec), name, identity
        except BaseException:
            await peer.close()
            raise

    async def hang_up(self, viewer: str) -> None:
        """End a viewer. Raises: MissingError."""
        await self._peer(viewer)[1].close()

    def interrupt(self, viewer: str) -> None:
        """Silence in a viewer's stream. Raises: MissingError."""
        self._peer(viewer)[1].interrupt()

    def stream_of(self, viewer: str) -> RenderedStream:
        """What a viewer sees. Raises: MissingError."""
        return self._peer(viewer)[1].stream

    async def play(self, viewer: str, path: Path) -> float:
        """Let the stream say what a sound file says; seconds taken.

        Raises:
            MissingError: no such viewer. MediaError: the file cannot be read or has no sound.
        """
        stream = self.stream_of(viewer)
        samples = await asyncio.to_thread(_read, path)
        taken = stream.push_sound(samples)
        stream.end()
        return taken / SAMPLE_HZ

    def sources(self) -> list[Source]:
        """What can be shown, the default first; nothing is made ready for it."""
        wanted = self._settings
        filmed: list[Source] = [] if wanted.footage is None else ["footage"]
        drawn: list[Source] = []
        if (wanted.footage is None or wanted.avatar is not None) and importlib.util.find_spec("panda3d") is not None:
            drawn = ["avatar"]
        return filmed + drawn

    def told(self) -> list[dict[str, Any]]:
        """A row for each stream."""
        return [
            {
                "stream": name, "viewers": sum(of == name for of, _ in self._peers.values()),
                "width": one.width, "height": one.height, "delay_ms": round(1000 * one.delay_s),
                "waiting_s": one.waiting_s, "underruns": one.underruns, **vars(one.counts),
            }
            for name, one in self._streams.items()
        ]  # fmt: skip

    def counts(self) -> dict[str, float]:
        """Sums over all streams, ended ones too: ``pictures``, ``late``, ``missing``, ``skipped``, ``restarts``; and
        how many ``streams`` and ``viewers`` there are."""
        sums = {
            key: value + sum(getattr(one.counts, key) for one in self._streams.values())
            for key, value in self._ended.items()
        }
        return {**sums, "streams": len(self._streams), "viewers": len(self._peers)}

    async def _stream(self, source: str | None, stream: str | None, session: str | None) -> tuple[str, RenderedStream]:
        if stream is not None:
            if stream not in self._streams or source is not None or session is not None:
                raise MissingError("stream: there is none of that name, or source and session were named too")
            return stream, self._streams[stream]
        linked = None
        if session is not None:
            linked = self._find_session(session) if self._find_session is not None else None
            if linked is None:
                raise MissingError("session: there is none of that name")
        async with self._preparing:
            if not self._plans:
                await asyncio.to_thread(self.prepare)
        source = source or next(iter(self._plans))
        if source not in self._plans:
            raise MissingError(f"source {source}: this server shows {' and '.join(self._plans)}")
        if self._full:
            await self._make_room()
        # Asked again: somebody else may have taken the room meanwhile.
        if self._full:
            raise BusyError(f"{self._settings.streams} rendered streams run already; try later")
        self._starting += 1
        try:
            made = RenderedStream(self._plans[source], self._clock)
            await made.start()
        finally:
            self._starting -= 1
        identity = secrets.token_urlsafe(12)
        self._streams[identity] = made
        if linked is not None:
            linked.attach(made)
            self._links[identity] = (linked, made)
        return identity, made

    def _gone(self, peer: Peer) -> None:
        identity, _ = self._peers.pop(peer.identity, (None, None))
        if identity is not None and not self._watched(identity) and not self._closed:
            if identity in self._leaving:
                self._leaving[identity].cancel()
            self._leaving[identity] = asyncio.get_running_loop().create_task(self._end_later(identity))

    async def _end_later(self, identity: str) -> None:
        await asyncio.sleep(GRACE_S)
        if not self._watched(identity):
            await self._end(identity)

    def _watched(self, identity: str) -> bool:
        return any(of == identity for of, _ in self._peers.values())

    @property
    def _full(self) -> bool:
        return len(self._streams) + self._starting >= self._settings.streams

    async def _make_room(self) -> None:
        """End a stream that was left and is kept for a while only, if there is one: whoever loads a page again asks
        for a new stream."""
        left = next((one for one in self._leaving if one in self._streams and not self._watched(one)), None)
        if left is not None:
            self._leaving[left].cancel()
            await self._end(left)

    async def _end(self, identity: str) -> None:
        session, sink = self._links.pop(identity, (None, None))
        if session is not None and sink is not None:
            session.detach(sink)
        stream = self._streams.pop(identity, None)
        self._leaving.pop(identity, None)
        if stream is not None:
            for key in self._ended:
                self._ended[key] += getattr(stream.counts, key)
            await stream.close()

    async def _say(self, stream: RenderedStream, text: str, language: str) -> None:
        if self._speak is not None:
            async for piece in self._speak(text, language):
                # A stream holds so much and no more; an interruption then throws little away.
                while stream.waiting_s > WAITING_S and stream.running:
                    await asyncio.sleep(ROOM_S)
                stream.push_sound(piece.samples)
            stream.end()

    def _peer(self, viewer: str) -> tuple[str, Peer]:
        if viewer not in self._peers:
            raise MissingError("viewer: there is none of that name, or it is gone")
        return self._peers[viewer]

    def _private(self) -> Path:
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="kouxing-live-")
        return Path(self._folder.name)

    def _head(self, wanted: RenderSettings) -> Path:
        path = wanted.avatar
        if path is None:
            made = self._private() / HEAD
            with as_file(files("kouxing") / "assets" / HEAD) as bundled:
                made.write_bytes(bundled.read_bytes())
            return made
        if path.suffix.lower() != ".glb":
            made = self._private() / "photo.glb"
            avatar(path, made, face_index=wanted.face_index, overwrite=True)
            return made
        if not path.is_file():
            raise MediaError(f"{path}: no such file; give a GLB with ARKit's morph targets, or a photo")
        morphs.load(path)
        return path


def _read(path: Path) -> Float:
    """At most what a stream holds."""
    parts: list[Float] = []
    held = 0
    for chunk in read_sound(path, SAMPLE_HZ):
        parts.append(np.clip(np.nan_to_num(chunk), -1, 1).astype(np.float32))
        held += len(chunk)
        if held > LONGEST_S * SAMPLE_HZ:
            raise OptionError(f"speech: longer than {LONGEST_S} s; send it in parts")
    if not held:
        raise MediaError("speech: has no sound; send a file with speech")
    return np.concatenate(parts)
