"""Who may talk to the server: host names, origins of web pages, the token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from kouxing.errors import OptionError
from kouxing.server.protocol import Refused

LOCAL = ("localhost", "127.0.0.1", "::1")
LOCAL_ORIGIN = r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
"""Pages of ``LOCAL``'s servers, whatever their port."""
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self' data: blob: "
    "ws: wss: http: https:; object-src 'none'; base-uri 'none'; frame-ancestors *"
)
"""Of our page: it runs nothing from elsewhere. Pages of others may show it in a frame; what it may do is decided by
the token and the origin check."""
MOST_TOKEN = 256


def is_loopback(host: str) -> bool:
    """Whether an address to bind to is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """The checks of one server.

    Args:
        host: that it binds to.
        token: that clients must show; None: none.
        origins: of web pages beside its own that may talk to it, e.g. ``https://example.org``; ``*``: all.

    Raises:
        OptionError: beyond loopback without a token, a token that is too short, or an origin that is none.
    """

    def __init__(self, host: str, token: str | None = None, origins: Sequence[str] = ()) -> None:
        self._local = is_loopback(host)
        self._names = {*LOCAL, host.lower()}
        if not self._local and token is None:
            raise OptionError(f"--host {host} can be reached by others: set --token too, or KOUXING_TOKEN")
        if token is not None and not 8 <= len(token) <= MOST_TOKEN:
            raise OptionError(f"--token has {len(token)} characters; use 8 to {MOST_TOKEN}")
        for origin in origins:
            parts = _parts(origin)
            if origin != "*" and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/")):
                raise OptionError(f"--allow-origin {origin}: write it like https://example.org")
        self.token = token
        self.origins = tuple(origin.rstrip("/") for origin in origins)

    def check_host(self, headers: Mapping[str, str]) -> None:
        """A page elsewhere whose name is made to point here (DNS rebinding) names itself in ``Host``.

        Raises:
            Refused: it does.
        """
        if self._local and _name(headers.get("host", "")) not in self._names:
            raise Refused("origin", "this server is for its own machine; call it localhost or 127.0.0.1")

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Web pages say where they come from; other programs say nothing.

        Raises:
            Refused: another site's page.
        """
        self.check_host(headers)
        origin = headers.get("origin")
        if origin is None or "*" in self.origins or origin in self.origins:
            return
        if _parts(origin).netloc != headers.get("host", "") and not self._both_local(origin, headers):
            raise Refused("origin", "pages of other sites may not use this server; --allow-origin lets them")

    def check_token(self, token: str | None) -> None:
        """Compare in constant time.

        Raises:
            Refused: missing or wrong.
        """
        if self.token is None:
            return
        if token is None or not hmac.compare_digest(token.encode(), self.token.encode()):
            raise Refused("token", "the token is missing or wrong" if token is None else "the token is wrong")

    def check_request(self, headers: Mapping[str, str]) -> None:
        """Host, origin and bearer token of an HTTP request.

        Raises:
            Refused: one of them is not as it should be.
        """
        self.check_origin(headers)
        kind, _, token = headers.get("authorization", "").partition(" ")
        self.check_token(token.strip() if kind.lower() == "bearer" else None)

    @property
    def local_origins(self) -> str | None:
        """Pattern of the origins on this machine that may use the server; None where it serves others too."""
        return LOCAL_ORIGIN if self._local else None

    def _both_local(self, origin: str, headers: Mapping[str, str]) -> bool:
        # Development servers run on another port of the same machine; under this Guard that machine is trusted.
        parts = _parts(origin)
        return self._local and _name(parts.netloc) in self._names and parts.scheme == "http"


def _parts(origin: str) -> SplitResult:
    """An origin's parts; all empty where it is no address."""
    try:
        return urlsplit(origin)
    except ValueError:
        return urlsplit("")


def _name(host: str) -> str:
    """``localhost:8000`` -> ``localhost``; ``[::1]:8000`` -> ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
