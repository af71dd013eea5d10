"""One viewer of a rendered stream: its WebRTC connection, what it says back, and when it is given up."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aioice.ice
import av
import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import SessionDescription

from kouxing.errors import KouxingError, OptionError
from kouxing.server.limits import Bucket, Limits
from kouxing.server.render_stream import RenderedStream
from kouxing.server.rtc_reports import MediaClock
from kouxing.server.rtc_tracks import PictureTrack, SoundTrack
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ

CONNECT_S = 15.0
"""A viewer that has not connected so long after its offer is given up."""
SILENT_S = 15.0
"""So is one that has not confirmed any sound or picture for so long (half-open)."""
LOOK_S = 2.0
MOST_CANDIDATES = 64
NO_OFFER = "offer: is no SDP offer that can be answered; send what createOffer made"
MOST_TEXTS = 8
LANGUAGE = "en-us"
MESSAGE_BYTES = Limits.message_bytes
MESSAGES_HZ, BURST_S = Limits.messages_hz, Limits.burst_s
"""Of all data channels together; a viewer that sends more is hung up on."""
TELL_S = 0.2
CHANNEL = "kouxing"
CODECS = ("h264", "vp8")

Say = Callable[[str, str], Awaitable[None]]
"""Speaks a text in a language."""

log = logging.getLogger(__name__)
_on_loopback: ContextVar[bool] = ContextVar("_on_loopback", default=False)
_all_addresses = aioice.ice.get_host_addresses


def _addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    """aioice asks for this machine's addresses when it gathers; it always leaves out loopback, and knows no limits."""
    return ["127.0.0.1"] if _on_loopback.get() else list(_all_addresses(use_ipv4, use_ipv6))


aioice.ice.get_host_addresses = _addresses


@dataclass(frozen=True)
class Ice:
    """Where viewers can be reached.

    Attributes:
        servers: ``stun:host:port`` or ``turn:host:port`` with user and password, or None for these.
        loopback: only viewers on this machine: no other address is told, and none listened on.
    """

    servers: tuple[tuple[str, str | None, str | None], ...] = ()
    loopback: bool = True

    def configuration(self) -> RTCConfiguration:
        """For aiortc; without servers nobody is asked (aiortc would ask a public one)."""
        servers = [RTCIceServer(urls=url, username=user, credential=secret) for url, user, secret in self.servers]
        return RTCConfiguration(iceServers=servers)


def read_ice(text: str) -> tuple[str, str | None, str | None]:
    """``stun:host:port`` or ``turn:host:port,user,password``.

    Raises:
        OptionError: it is none.
    """
    url, *secret = text.split(",")
    if not url.startswith(("stun:", "turn:", "turns:")) or len(secret) not in (0, 2) or not url.partition(":")[2]:
        raise OptionError("--ice: give stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD")
    return (url, secret[0], secret[1]) if secret else (url, None, None)


def check_offer(offer: str) -> None:
    """Refuse what cannot be answered, before anything is started for it.

    Raises:
        OptionError: it is no offer that asks for video.
    """
    try:
        kinds = [media.kind for media in SessionDescription.parse(offer).media]
    except Exception as error:
        raise OptionError(NO_OFFER) from error
    if "video" not in kinds:
        raise OptionError("offer: asks for no video; add a transceiver that receives it")
    if offer.count("a=candidate:") > MOST_CANDIDATES:
        raise OptionError(f"offer: names more than {MOST_CANDIDATES} addresses")


class Peer:
    """A viewer.

    Args:
        identity: its name.
        stream: what it sees; its microphone and its messages go there too.
        ice: where it can be reached.
        say: speaks a text; None where texts are not spoken here.
        gone: called once when it is closed.
    """

    def __init__(
        self,
        identity: str,
        stream: RenderedStream,
        ice: Ice,
        say: Say | None,
        gone: Callable[[Peer], None],
    ) -> None:
        self.identity = identity
        self.stream = stream
        self._say = say
        self._gone = gone
        self._loopback = ice.loopback
        self._connection = RTCPeerConnection(ice.configuration())
        self._tracks = (PictureTrack(stream), SoundTrack(stream))
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = self._closing = False
        self._over = asyncio.Event()
        self._bucket = Bucket(MESSAGES_HZ, MESSAGES_HZ * BURST_S, time.monotonic())
        self._connection.on("track", self._listen)
        self._connection.on("datachannel", self._channel)
        self._connection.on("connectionstatechange", self._changed)

    @property
    def state(self) -> str:
        """``new``, ``connecting``, ``connected``, ``failed`` or ``closed``."""
        return "closed" if self._closed else self._connection.connectionState

    async def answer(self, offer: str, codec: str | None = None) -> str:
        """Take a viewer's offer; the answer's SDP.

        Args:
            offer: SDP with a video part that receives, and best an audio part.
            codec: ``h264`` or ``vp8``, where the viewer knows it; the viewer's first choice by default.

        Raises:
            OptionError: it is no such offer.
        """
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            kinds = [one.kind for one in self._connection.getTransceivers()]
            clock = MediaClock()
            for track in self._tracks:
                if track.kind in kinds:
                    clock.rule(self._connection.addTrack(track), track)
            self._prefer(codec)
            answer = await self._connection.createAnswer()
            _on_loopback.set(self._loopback)
            await self._connection.setLocalDescription(answer)
        except Exception as error:
            log.info("an offer cannot be answered", exc_info=True)
            raise OptionError(NO_OFFER) from error
        self._start(self._watch())
        description: RTCSessionDescription = self._connection.localDescription
        return str(description.sdp)

    async def close(self) -> None:
        """End the connection; whoever calls it first does it, others wait."""
        if self._closed:
            await self._over.wait()
            return
        self._closed = True
        for track in self._tracks:
            track.stop()
        here = asyncio.current_task()
        for task in [one for one in self._tasks if one is not here]:
            task.cancel()
        try:
            await self._connection.close()
        except Exception:
            log.info("a viewer's connection closes in pieces", exc_info=True)
            await self._close_sockets()
        finally:
            self._over.set()
            self._gone(self)

    async def _close_sockets(self) -> None:
        """What matters of a connection that cannot be closed as a whole."""
        for one in self._connection.getTransceivers():
            secure = getattr(one.receiver, "transport", None)
            if secure is not None:
                await secure.transport.stop()

    async def _hang_up(self) -> None:
        """Close, once the viewer has been told why."""
        await asyncio.sleep(TELL_S)
        await self.close()

    def interrupt(self) -> None:
        """Silence at once; texts that wait are forgotten too, whoever of its viewers gave them."""
        for task in self.stream.texts:
            task.cancel()
        self.stream.interrupt()

    async def _speak(self, say: Say, text: str, language: str, tell: Callable[[str], None]) -> None:
        """One text after the other."""
        try:
            async with self.stream.turn:
                await say(text, language)
        except KouxingError as error:
            tell(str(error))

    def _prefer(self, codec: str | None) -> None:
        if codec is None:
            return
        known = RTCRtpSender.getCapabilities("video").codecs
        wanted = [one for one in known if one.mimeType.lower() == f"video/{codec}"]
        for one in self._connection.getTransceivers():
            if one.kind == "video" and wanted:
                one.setCodecPreferences([*wanted, *(other for other in known if other not in wanted)])

    def _start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _changed(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            await self.close()

    async def _watch(self) -> None:
        """Give up a viewer that never came, or that is gone without a word."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        limit, last = CONNECT_S, 0
        while loop.time() - heard < limit and self.stream.running:
            await asyncio.sleep(min(LOOK_S, limit / 4))
            if self._connection.connectionState != "connected":
                continue
            limit = SILENT_S
            told = await self._confirmed()
            if told != last:
                last, heard = told, loop.time()
        log.info("a viewer of a rendered stream is gone")
        await self.close()

    async def _confirmed(self) -> int:
        """Something that changes whenever the viewer tells what it received."""
        found = 0
        for sender in self._connection.getSenders():
            for told in (await sender.getStats()).values():
                if told.type == "remote-inbound-rtp":
                    found += int(told.timestamp.timestamp() * 1000)
        return found

    def _listen(self, track: Any) -> None:
        if track.kind == "audio":
            self._start(self._hear(track))

    async def _hear(self, track: Any) -> None:
        """The viewer's microphone."""
        async for samples in microphone(track):
            self.stream.push_sound(samples, live=True)
        self.stream.end()

    def _channel(self, channel: RTCDataChannel) -> None:
        if channel.label != CHANNEL:
            channel.close()
            return

        def tell(problem: str) -> None:
            if channel.readyState == "open":
                channel.send(json.dumps({"event": "error", "message": problem}))

        def heard(message: bytes | str) -> None:
            if self._closing:
                return
            if not self._bucket.take(time.monotonic()):
                self._closing = True
                tell(f"more than {MESSAGES_HZ:g} messages a second")
                self._start(self._hang_up())
                return
            problem = self._message(message, tell)
            if problem:
                tell(problem)

        channel.on("message", heard)

    def _message(self, message: bytes | str, tell: Callable[[str], None]) -> str | None:
        """Sound or an order; what is wrong with it. What goes wrong later is told."""
        if len(message) > MESSAGE_BYTES:
            return f"a message of more than {MESSAGE_BYTES} bytes"
        if isinstance(message, bytes):
            if len(message) % 2:
                return "sound is 16-bit samples at 16 kHz: an even number of bytes"
            self.stream.push_sound(pcm(message))
            return None
        try:
            order = json.loads(message)
            event = order["event"]
            text, language = str(order.get("text", "")), str(order.get("language", ""))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return 'orders are JSON objects with "event"'
        if event == "interrupt":
            self.interrupt()
        elif event == "end":
            self.stream.end()
        elif event == "say" and self._say is not None:
            if len(self.stream.texts) >= MOST_TEXTS:
                return f"{MOST_TEXTS} texts wait to be said; try later"
            task = self._start(self._speak(self._say, text, language or LANGUAGE, tell))
            self.stream.texts.add(task)
            task.add_done_callback(self.stream.texts.discard)
        else:
            return f"event {str(event)[:40]!r} is not known here"
        return None


async def microphone(track: Any) -> AsyncIterator[Float]:
    """``[N] float32`` samples of a viewer's track at ``SAMPLE_HZ``, until it ends."""
    resampler, before = None, None
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        # A browser may change the codec, and with it the form, at any time; a resampler takes one form.
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or form != before:
            resampler, before = av.AudioResampler("flt", "mono", SAMPLE_HZ), form
        for made in resampler.resample(frame):
            yield np.asarray(made.to_ndarray()[0], np.float32)


def pcm(data: bytes) -> Float:
    """16-bit little-endian samples as ``[N] float32``."""
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768
