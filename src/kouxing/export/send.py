"""Live senders: coefficients to VMC or Live Link receivers, at a steady pace.

Time is the sender's duty: a frame goes out when it is due by the clock. After a stall what is due goes out at once,
but for frames that are late by more than ``MOST_LATE_S``: they are left out and counted, so that delay never adds up.
A port where nobody listens is noted where the system says so, and sending goes on, since the receiver may yet be
started.
"""

from __future__ import annotations

import math
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Protocol
from urllib.parse import urlsplit

from kouxing.errors import OptionError
from kouxing.export import livelink, vmc
from kouxing.types import CoefficientTrack, Float
from kouxing.units import COEFFICIENT_HZ

LOOPBACK = "127.0.0.1"
PORTS = {"vmc": 39539, "livelink": 11111}
SUBJECT = "kouxing"
DAY_S = 24 * 60 * 60
MOST_LATE_S = 0.1


class Socket(Protocol):
    """What is needed of a connected UDP socket."""

    def send(self, data: bytes, /) -> int: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Target:
    """Where to send, and in which protocol (``vmc`` or ``livelink``)."""

    protocol: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass
class Sent:
    """What became of the frames.

    Attributes:
        frames: sent whole.
        late: left out because their time was over.
        dropped: left out because the system took no more.
        refused: how often the system reported that nobody listens.
        worst_late_ms: largest delay of a frame that was sent.
        packets: datagrams that the system took.
    """

    frames: int = 0
    late: int = 0
    dropped: int = 0
    refused: int = 0
    worst_late_ms: float = 0.0
    packets: int = 0

    @property
    def unheard(self) -> bool:
        """Surely nobody got anything: no frame could be sent, or every datagram was refused that can have been.

        A refusal is told when the next datagram is sent, and by this machine or its neighbours only: False does not
        mean that somebody listened.
        """
        nothing = self.frames == 0 and self.dropped > 0
        return nothing or (self.packets > 1 and self.refused >= self.packets - 1)


def target(url: str) -> Target:
    """Read ``vmc://host:39539`` or ``livelink://host:11111``; host and port may be left out (this machine).

    Raises:
        OptionError: another protocol, or no such port.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OptionError(f"--send {url}: {error}; write vmc://host:39539 or livelink://host:11111") from error
    if parts.scheme not in PORTS or parts.path.strip("/") or parts.query or parts.username is not None or port == 0:
        raise OptionError(f"--send {url}: not an address; write vmc://host:39539 or livelink://host:11111")
    return Target(parts.scheme, parts.hostname or LOOPBACK, port or PORTS[parts.scheme])


def connect(place: Target) -> Socket:
    """A UDP socket to a target that never waits.

    Raises:
        OptionError: the host is not known or cannot be reached from here.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, number)
    except (OSError, UnicodeError) as error:
        raise OptionError(f"--send {place}: the host is not known ({error}); check its name") from error
    try:
        made.setblocking(False)
        made.connect(address)
    except OSError as error:
        made.close()
        raise OptionError(f"--send {place}: cannot be reached from here ({error.strerror}); check the host") from error
    return made


class Sender:
    """Turns rows into packets and sends them. Usable as a context manager.

    Args:
        place: where to.
        subject: name of the face for Live Link.
        rate: frames per second that packets state.
        open_socket: makes the socket; for tests.
        device: Live Link's device id; a new UUID by default.
    """

    def __init__(
        self,
        place: Target,
        subject: str = SUBJECT,
        rate: Fraction = Fraction(COEFFICIENT_HZ),
        open_socket: Callable[[Target], Socket] = connect,
        device: str | None = None,
    ) -> None:
        self._place = place
        self._subject = subject
        self._rate = rate
        self._device = device or str(uuid.uuid4()).upper()
        self._socket = open_socket(place)
        self._began: Fraction | None = None
        self.sent = Sent()

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the socket."""
        self._socket.close()

    def packets(
        self,
        values: Float,
        rotations: Float | None,
        moment: Fraction,
        bones: Mapping[str, vmc.Pose] | None = None,
        root: vmc.Pose | None = None,
    ) -> Sequence[bytes]:
        """The datagrams of one frame.

        Args:
            values: ``[52] float32``. rotations: ``[9]`` radians or None. moment: the frame's time in seconds.
            bones, root: a captured body, passed on to VMC receivers; Live Link has no place for it.
        """
        if self._began is None:
            self._began = moment
        if self._place.protocol == "vmc":
            return vmc.messages(values, float(moment - self._began), bones=bones, root=root)
        frames = moment % DAY_S * self._rate
        frame = math.floor(frames)
        told = livelink.Packet(self._device, self._subject, frame, float(frames - frame), self._rate, values, rotations)
        return [livelink.encode(told)]

    def send(
        self,
        values: Float,
        rotations: Float | None,
        moment: Fraction,
        bones: Mapping[str, vmc.Pose] | None = None,
        root: vmc.Pose | None = None,
    ) -> bool:
        """Send one frame now; False where the system did not take it. Never waits, never raises for the network."""
        for packet in self.packets(values, rotations, moment, bones, root):
            try:
                self._socket.send(packet)
                self.sent.packets += 1
            except ConnectionRefusedError:
                # The answer to an earlier datagram; this one was not sent.
                self.sent.refused += 1
                if not self._again(packet):
                    return False
            except OSError:
                # Full buffers, no route just now: a live sender drops the frame and keeps its clock.
                self.sent.dropped += 1
                return False
        self.sent.frames += 1
        return True

    def _again(self, packet: bytes) -> bool:
        try:
            self._socket.send(packet)
        except OSError:
            self.sent.dropped += 1
            return False
        self.sent.packets += 1
        return True


class Pacer:
    """Says when each frame is due; its clock starts with the first one.

    Args:
        clock: seconds, increasing. sleep: waits so many seconds.
        most_late_s: frames that are later are to be left out.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
        most_late_s: float = MOST_LATE_S,
    ) -> None:
        self._most_late_s = most_late_s
        self._clock = clock
        self._sleep = sleep
        self._began: float | None = None

    def wait(self, moment: Fraction) -> float | None:
        """Wait until a frame is due.

        Args:
            moment: the frame's time in seconds, from the first frame's on.

        Returns:
            By how many seconds it is late; None where that is too much: leave it out.
        """
        now = self._clock()
        if self._began is None:
            self._began = now - float(moment)
        due = self._began + float(moment)
        while now < due:
            self._sleep(due - now)
            now = self._clock()
        late = now - due
        return late if late <= self._most_late_s else None


def send_track(
    track: CoefficientTrack,
    sender: Sender,
    pacer: Pacer | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Sent:
    """Send a whole track in its own time.

    Args:
        track: any rate; each row goes out at its time.
        sender: where to; its counts go on from what they are.
        pacer: this machine's clock by default.
        progress: called with ("send", rows done, rows) about once a second.

    Returns:
        The sender's counts.
    """
    clock = pacer or Pacer()
    each = max(round(track.rate), 1)
    for row in range(len(track)):
        late = clock.wait(track.time(row))
        if late is None:
            sender.sent.late += 1
        else:
            turns = track.rotations[row] if track.rotations is not None else None
            if sender.send(track.values[row], turns, track.start + track.time(row)):
                sender.sent.worst_late_ms = max(sender.sent.worst_late_ms, late * 1000)
        if progress is not None and ((row + 1) % each == 0 or row + 1 == len(track)):
            progress("send", row + 1, len(track))
    return sender.sent
