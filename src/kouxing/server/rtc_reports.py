"""Sender reports by which a viewer can lay a stream's sound and picture upon each other exactly.

A viewer lines tracks up by their RTCP sender reports: this NTP time is that RTP time. aiortc takes the moment at which
the last packet left, which is after coding and after whatever else the machine had to do: a picture's report is late by
3 to 30 ms, each by another amount, a sound's hardly at all. Here the reports of all tracks state one media clock.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

from aiortc import RTCRtpSender
from aiortc.rtp import RtcpSrPacket

NTP_HZ = 1 << 32
RTP_MODULUS = 1 << 32


class Timed(Protocol):
    """A track that tells when what it hands out belongs.

    Attributes:
        rtp_hz: of its times. given: time of the frame that it handed out last. late: by how much of it what a viewer
            decodes comes after its time.
    """

    rtp_hz: int
    given: int
    late: int


class MediaClock:
    """The clock that the reports of one viewer's tracks state; time 0 is that of the stream."""

    def __init__(self) -> None:
        self._began: int | None = None

    def began(self, ntp: int, media: Fraction) -> int:
        """The NTP time of media time 0; the first who asks sets it, by an NTP time and the media's then."""
        if self._began is None:
            self._began = ntp - round(media * NTP_HZ)
        return self._began

    def rule(self, sender: RTCRtpSender, track: Timed) -> None:
        """From now on a sender's reports state this clock. Before the sender has begun."""
        _Reports(self, sender, track)


class _Reports:
    """Stands between one sender and what it asks for and sends: aiortc offers no place for that."""

    def __init__(self, clock: MediaClock, sender: Any, track: Timed) -> None:
        self._clock, self._track = clock, track
        self._next, self._send = sender._next_encoded_frame, sender._send_rtcp
        self._shift = 0
        self._made: int | None = None
        self._sent: int | None = None
        self._origin: int | None = None
        sender._next_encoded_frame, sender._send_rtcp = self._next_frame, self._send_reports

    async def _next_frame(self, codec: Any) -> Any:
        # Who asks for the next frame has sent all of the one before.
        self._sent = self._made
        frame = await self._next(codec)
        if frame is not None:
            if self._made is None:
                # aiortc's Opus counts from its first packet on, its picture coders keep the track's times.
                self._shift = self._track.given - frame.timestamp
            self._made = frame.timestamp
        return frame

    async def _send_reports(self, packets: list[Any]) -> None:
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                self._state(packet.sender_info)
        await self._send(packets)

    def _state(self, report: Any) -> None:
        """Keep the report's NTP time, by which a viewer measures the way here and back; put its media time beside."""
        if self._origin is None:
            # While a frame is being sent it is not known whether the report means that one.
            if self._sent is None or self._sent != self._made:
                return
            self._origin = report.rtp_timestamp - self._sent - self._shift + self._track.late
        hz = self._track.rtp_hz
        began = self._clock.began(report.ntp_timestamp, Fraction(report.rtp_timestamp - self._origin, hz))
        media = round(Fraction((report.ntp_timestamp - began) * hz, NTP_HZ))
        report.rtp_timestamp = (self._origin + media) % RTP_MODULUS
