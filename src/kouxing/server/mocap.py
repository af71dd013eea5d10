"""Motion capture in: receivers for Live Link Face, iFacialMocap, Facemotion3D and VMC, and replay of recorded takes.

Each source has a thread of its own, which sleeps until something comes: datagrams are read, decoded and judged there,
never on the server's event loop. Garbage, strangers and floods are counted and disturb nothing else.

    hub = open_captures(["livelink://0.0.0.0:11111", "vmc://"])
    hub.faces[0].latest()          # Frame or None
    hub.body()                     # bones for VRM avatars and VMC receivers
    hub.counts()                   # for /metrics
    hub.close()
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from kouxing.errors import KouxingError, OptionError
from kouxing.server.mocap_decoders import Decoder, Facial, Foreign, LiveLink, Vmc
from kouxing.server.mocap_frames import NO_BODY, Body, Capture
from kouxing.server.mocap_replay import Replay

LOOPBACK = "127.0.0.1"
HELLO: dict[str, bytes] = {
    "ifacialmocap": b"iFacialMocap_sahuasouryya9218sauhuiayeta91555dy3719",
    "facemotion3d": b"FACEMOTION3D_OtherStreaming",
}
"""What a phone waits for before it sends."""
PORTS = {"livelink": 11111, "vmc": 39540, "ifacialmocap": 49983, "facemotion3d": 49993}
"""VMC's is the one where trackers send to; 39539 belongs to who draws the avatar."""
HELLO_EVERY_S = 1.0
"""A phone that is silent is greeted again so often."""
WAKE_S = 0.2
WINDOW_S = 0.1
MOST_PACKETS, MOST_BYTES = 1500, 256 * 1024
"""In each window: VMC at 60 fps with face, body and fingers is about 750 packets, 50 kB."""
LARGEST = 65536
EXAMPLE = "write livelink://127.0.0.1:11111, vmc://127.0.0.1:39540, ifacialmocap://PHONE or a take's name (.csv)"


@dataclass(frozen=True)
class Source:
    """Where capture comes from.

    Attributes:
        protocol: one of ``PORTS``.
        host: address to listen at; for the protocols of ``HELLO`` the phone's.
        port: to listen at; for the protocols of ``HELLO`` the phone's.
        sender: only datagrams of this address are taken; None: of any.
        subject: only this face of Live Link; None: the first.
        listen: port to listen at for a phone's answers; None: ``port``.
    """

    protocol: str
    host: str
    port: int
    sender: str | None = None
    subject: str | None = None
    listen: int | None = None

    def __str__(self) -> str:
        return f"{self.protocol}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass
class Counts:
    """What became of the datagrams of one source.

    Attributes:
        packets: read. frames: faces made of them.
        bad: refused as garbage. foreign: of another sender or subject.
        flood: times that a sender was too fast and the rest of a tenth of a second was left to the system.
    """

    packets: int = 0
    frames: int = 0
    bad: int = 0
    foreign: int = 0
    flood: int = 0


class Socket(Protocol):
    """What is needed of a UDP socket."""

    def recvfrom(self, size: int, /) -> tuple[bytes, tuple[str, int]]: ...

    def sendto(self, data: bytes, address: tuple[str, int], /) -> int: ...

    def settimeout(self, seconds: float | None, /) -> None: ...

    def close(self) -> None: ...


def source(url: str) -> Source:
    """Read ``livelink://HOST:PORT?from=ADDRESS&subject=NAME``, ``vmc://HOST:PORT?from=ADDRESS``,
    ``ifacialmocap://PHONE:PORT?listen=PORT`` or ``facemotion3d://PHONE``.

    Host and port may be left out but for a phone's; the first two listen on this machine's loopback then.

    Raises:
        OptionError: another protocol, no such port, no phone, or an unknown word behind the question mark.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        words = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise OptionError(f"--capture {url}: {error}; {EXAMPLE}") from error
    protocol, host = parts.scheme, parts.hostname or ""
    greeted = protocol in HELLO
    allowed = {"listen"} if greeted else {"from", "subject"} if protocol == "livelink" else {"from"}
    if protocol not in PORTS or parts.path.strip("/") or parts.username is not None or (port == 0 and greeted):
        raise OptionError(f"--capture {url}: not an address; {EXAMPLE}")
    if set(words) - allowed:
        raise OptionError(f"--capture {url}: {sorted(set(words) - allowed)[0]!r} is not known here; {EXAMPLE}")
    if greeted and not host:
        raise OptionError(f"--capture {url}: name the phone's address, e.g. {protocol}://192.168.1.20")
    try:
        listen = int(words["listen"]) if "listen" in words else None
        sender = str(ipaddress.ip_address(words["from"])) if "from" in words else None
    except ValueError as error:
        raise OptionError(f"--capture {url}: {error}; {EXAMPLE}") from error
    if listen is not None and not 0 <= listen < 65536:
        raise OptionError(f"--capture {url}: port {listen} is none; {EXAMPLE}")
    chosen = PORTS[protocol] if port is None else port
    return Source(protocol, host or LOOPBACK, chosen, sender, words.get("subject"), listen)


def bind(place: Source) -> tuple[socket.socket, tuple[str, int] | None]:
    """A UDP socket for a source, and the phone to greet (None: nobody).

    For a phone the socket is bound to the one address of this machine that leads to it.

    Raises:
        OptionError: the address is not this machine's, is taken, or the phone is not known.
    """
    phone: tuple[str, int] | None = None
    try:
        family, _, _, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_DGRAM)[0]
        own: tuple[str | int, ...] = (str(address[0]), int(address[1]))
        if place.protocol in HELLO:
            phone = (str(address[0]), int(address[1]))
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(phone)
                own = (probe.getsockname()[0], place.port if place.listen is None else place.listen)
        made = socket.socket(family, socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise OptionError(f"--capture {place}: the host is not known ({error}); check its name") from error
    try:
        made.bind(own)
        # Bursts of a whole body's messages wait here while the thread is not scheduled.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    except OSError as error:
        made.close()
        raise OptionError(
            f"--capture {place}: port {own[1]} of {own[0]} cannot be used ({error.strerror}); "
            "close the program that listens there or choose another port"
        ) from error
    return made, phone


def decoder(place: Source) -> Decoder:
    """What reads a source's datagrams, at its beginning."""
    if place.protocol == "livelink":
        return LiveLink(place.subject)
    return Vmc() if place.protocol == "vmc" else Facial()


class Receiver:
    """Listens to one source in a thread of its own.

    Args:
        place: from ``source``.
        clock: seconds, increasing; ``Frame.time_s`` counts by it.
        open_socket: makes the socket and tells whom to greet; for tests.

    Attributes:
        name: its address. face: its recent frames. counts: what became of its datagrams.
        port: where it listens, as the system says.

    Raises:
        OptionError: see ``bind``.
    """

    def __init__(
        self,
        place: Source,
        clock: Callable[[], float] = time.monotonic,
        open_socket: Callable[[Source], tuple[Socket, tuple[str, int] | None]] = bind,
    ) -> None:
        self.face = Capture()
        self.counts = Counts()
        self._clock = clock
        self._decoder = decoder(place)
        self._socket, self._phone = open_socket(place)
        self._sender = place.sender if self._phone is None else self._phone[0]
        self._hello = HELLO.get(place.protocol, b"")
        named = getattr(self._socket, "getsockname", None)
        self.port: int = named()[1] if named is not None else place.port
        self.name = str(place if self._phone is not None else replace(place, port=self.port))
        self._greeted_s = self._window_s = -1e9
        self._packets = self._bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"capture {place.protocol}", daemon=True)

    def start(self) -> Receiver:
        """Begin to listen."""
        self._thread.start()
        return self

    def close(self) -> None:
        """End the thread and free the port."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._socket.close()

    def body(self) -> Body:
        """Its fresh bones."""
        return self._decoder.body(self._clock())

    def take(self, content: bytes, sender: str) -> None:
        """Judge one datagram. Never raises."""
        try:
            if self._sender is not None and sender != self._sender:
                raise Foreign
            frame = self._decoder.take(content, self._clock())
        except Foreign:
            self.counts.foreign += 1
        except ValueError:
            self.counts.bad += 1
        else:
            if frame is not None:
                self.face.push(frame)
                self.counts.frames += 1
        # Last: who reads the counts from another thread finds the packet's outcome told.
        self.counts.packets += 1

    def greet(self, now_s: float) -> None:
        """Ask a phone that is silent to send."""
        if self._phone is None:
            return
        last = self.face.latest()
        silent = last is None or now_s - last.time_s >= HELLO_EVERY_S
        if not silent or now_s - self._greeted_s < HELLO_EVERY_S:
            return
        self._greeted_s = now_s
        try:
            self._socket.sendto(self._hello, self._phone)
        except OSError:
            # No way to the phone just now; it is greeted again in a second.
            return

    def _run(self) -> None:
        self._socket.settimeout(WAKE_S)
        while not self._ended.is_set():
            self.greet(self._clock())
            try:
                content, address = self._socket.recvfrom(LARGEST)
            except TimeoutError:
                continue
            except OSError:
                # A refusal of our greeting comes back here; waiting keeps a lasting fault from spinning.
                self._ended.wait(WAKE_S)
                continue
            self.take(content, address[0])
            pause = self.pause(len(content), self._clock())
            if pause:
                self._ended.wait(pause)

    def pause(self, size: int, now_s: float) -> float:
        """Seconds to wait after a datagram of ``size`` bytes: 0, but for floods."""
        if now_s - self._window_s >= WINDOW_S:
            self._window_s, self._packets, self._bytes = now_s, 0, 0
        self._packets += 1
        self._bytes += size
        if self._packets <= MOST_PACKETS and self._bytes <= MOST_BYTES:
            return 0.0
        self.counts.flood += 1
        return max(self._window_s + WINDOW_S - now_s, 0.0)


class Hub:
    """All sources of a server; a context manager.

    Attributes:
        faces: the sources' histories, in the order in which they were named: the first fresh one is to be used.
    """

    def __init__(self, sources: Sequence[Receiver | Replay]) -> None:
        self._sources = tuple(sources)
        self.faces: tuple[Capture, ...] = tuple(one.face for one in sources)

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def body(self) -> Body:
        """Fresh bones of all sources; of a bone that several tell, the first source's."""
        bodies = [one.body() for one in self._sources if isinstance(one, Receiver)]
        if not any(body.bones or body.root for body in bodies):
            return NO_BODY
        bones = {name: pose for body in reversed(bodies) for name, pose in body.bones.items()}
        return Body(bones, next((body.root for body in bodies if body.root is not None), None))

    def counts(self) -> dict[str, dict[str, int]]:
        """Each source's counts by its name."""
        return {one.name: asdict(one.counts) for one in self._sources if isinstance(one, Receiver)}

    def close(self) -> None:
        """End every source."""
        for one in self._sources:
            one.close()


def open_captures(names: Sequence[str]) -> Hub:
    """Open and start every source.

    Args:
        names: addresses as ``source`` reads them, or paths of Live Link CSV or JSON takes, which are played again and
            again at their own pace.

    Raises:
        OptionError: no such address, or it cannot be used. DataError: no such take.
    """
    opened: list[Receiver | Replay] = []
    try:
        for name in names:
            opened.append(Receiver(source(name)) if "://" in name else Replay(Path(name)))
    except KouxingError:
        for one in opened:
            one.close()
        raise
    for one in opened:
        one.start()
    return Hub(opened)
