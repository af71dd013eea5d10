"""How much one server, one session, one connection and one address may take."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kouxing.server.protocol import HEADER, MOST_SAMPLES, Refused

MOST_ADDRESSES = 4096
"""That are remembered; the ones that have been quiet for longest are forgotten, with what they used up."""
NET_BITS = 64
"""Of an IPv6 address: the rest is one customer's own to choose."""


@dataclass(frozen=True)
class Limits:
    """All bounds of the live server; queues have no others.

    Attributes:
        sessions: at the same time.
        connections: WebSockets at the same time, watching terminals included.
        strangers: of these, from one address and before their hello; the others' places are not theirs to hold.
        hello_s: in which the hello must come.
        keep_s: that a session lives on without a terminal, and that its output is kept for a resume.
        wait_s: that a session made over HTTP waits for its first terminal.
        queue_s: sound that waits for its turn.
        lead_s: that output may run ahead of real time.
        stall_s: without sound from a speaking client; then silence is heard.
        over_s: of such silence; then the sound has ended.
        message_bytes: a WebSocket message.
        messages_hz: messages a second from one client, over ``burst_s``.
        burst_s: see there.
        http_hz: HTTP requests a second from one address, 0: any number; ``http_burst`` of them at once.
        http_burst: see there.
        text_chars: a text to speak.
        texts: texts that wait for their turn.
        terminal_frames: that wait for a slow terminal.
        ping_s: between pings of a WebSocket. pong_s: for their answers; a machine that is busy may take some.
        body_bytes: a request that brings neither files nor sound. body_s: in which all of it must come.
        sound_bytes: a request that brings sound.
        upload_bytes: all files of a job together.
        upload_s: length of a job's video or sound.
        upload_idle_s: in which the next piece of an upload, or of sound, must come.
        upload_whole_s: in which all of it must; ``upload_bytes`` come in time at 2.3 Mbit/s.
        jobs: file jobs that wait or run.
        jobs_running: at the same time.
        job_s: that a job may run.
        job_keep_s: that a finished job's files are kept.
    """

    sessions: int = 64
    connections: int = 256
    strangers: int = 64
    hello_s: float = 5.0
    keep_s: float = 10.0
    wait_s: float = 60.0
    queue_s: float = 30.0
    lead_s: float = 0.5
    stall_s: float = 0.15
    over_s: float = 0.5
    message_bytes: int = 65_536
    messages_hz: float = 400.0
    burst_s: float = 2.0
    http_hz: float = 50.0
    http_burst: int = 200
    text_chars: int = 2_000
    texts: int = 16
    terminal_frames: int = 512
    ping_s: float = 5.0
    pong_s: float = 10.0
    body_bytes: int = 262_144
    body_s: float = 10.0
    sound_bytes: int = 33_554_432
    upload_bytes: int = 500_000_000
    upload_s: float = 1_200.0
    upload_idle_s: float = 20.0
    upload_whole_s: float = 1_800.0
    jobs: int = 8
    jobs_running: int = 1
    job_s: float = 7_200.0
    job_keep_s: float = 3_600.0

    def __post_init__(self) -> None:
        if self.message_bytes < HEADER.size + 2 * MOST_SAMPLES:
            raise ValueError(f"message_bytes must hold a second of sound, got {self.message_bytes}")


class Bucket:
    """Lets through ``rate`` a second in the long run, and ``depth`` at once.

    Args:
        rate: per second. depth: most at once. now: present time in seconds.
    """

    def __init__(self, rate: float, depth: float, now: float) -> None:
        self._rate, self._depth, self._held, self._seen = rate, depth, depth, now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Whether ``amount`` may pass now; then it is counted."""
        self._held = min(self._depth, self._held + (now - self._seen) * self._rate)
        self._seen = now
        if self._held < amount:
            return False
        self._held -= amount
        return True

    def wait_s(self, amount: float = 1.0) -> float:
        """Seconds, from the last ``take`` on, until ``amount`` may pass."""
        return max(0.0, amount - self._held) / self._rate


class Addresses:
    """A bucket for each address that asks.

    Args:
        rate: per second, 0: anything passes. depth: most at once.
    """

    def __init__(self, rate: float, depth: float) -> None:
        self._rate, self._depth = rate, depth
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """0 where a request from ``address`` may pass, and it is counted; else the seconds after which one may."""
        if self._rate <= 0:
            return 0.0
        key = net_of(address)
        bucket = self._buckets.setdefault(key, Bucket(self._rate, self._depth, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if bucket.take(now) else bucket.wait_s()


class Strangers:
    """Who has come and not said hello yet, by address.

    Args:
        most: of one address.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def waiting(self, address: str) -> Iterator[None]:
        """One more, until it has said hello or is gone.

        Raises:
            Refused: as many as may be wait already.
        """
        key = net_of(address)
        if self._waiting[key] >= self._most:
            raise Refused("busy", f"{self._most} connections from one address have not said hello yet; try later")
        self._waiting[key] += 1
        try:
            yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]


def net_of(address: str) -> str:
    """What counts as one address: of IPv6 a whole network, as one household or one machine has; else itself."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address):
        # How sockets of both kinds tell IPv4 addresses: all of them lie in one such network.
        known = known.ipv4_mapped or known
    return str(known) if known.version == 4 else str(ipaddress.ip_network((int(known), NET_BITS), strict=False))
