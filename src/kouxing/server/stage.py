"""Motion out: the face that was begun last goes to receivers of VMC or Live Link; without one, a resting face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kouxing.server.deadline import within
from kouxing.server.hello import Hello
from kouxing.server.mocap_out import MotionOut, follower

if TYPE_CHECKING:
    from kouxing.server.live import Live
    from kouxing.server.session import Session


LOOK_S = 0.1
"""A face at rest tells nothing; so often it is asked whether a newer one has begun."""


class Stage:
    """Feeds what the newest session does to the receivers.

    Args:
        live: the server. out: the receivers.
    """

    def __init__(self, live: Live, out: MotionOut) -> None:
        self._live, self._out = live, out
        self._own: Session | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            session = self._newest()
            outlet = session.out(("coefficients",))
            take = follower(self._out, session)
            try:
                while self._newest() is session:
                    try:
                        take(await within(anext(outlet), LOOK_S))
                    except TimeoutError:
                        continue
                    except StopAsyncIteration:
                        break
            finally:
                outlet.close()
            # What the former face still had to do is not the new one's.
            self._out.interrupt()

    async def close(self) -> None:
        """End the receivers' thread."""
        self._out.close()

    def _newest(self) -> Session:
        """The session begun last; where there is none, one of our own, so that captured motion goes through."""
        others = self._live.sessions
        if others:
            return others[-1]
        if self._own is None or self._own.closed:
            self._own = self._live.create(Hello(), lasting=True)
        return self._own
