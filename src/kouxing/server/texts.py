"""The texts that a session is to say, one after the other, each piece as soon as it is spoken."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from kouxing.errors import KouxingError
from kouxing.server.protocol import MOST_EVENT_BYTES, Refused, event_bytes
from kouxing.server.text import SpokenPiece

LOG = logging.getLogger("kouxing.server")

Speak = Callable[[str, str], AsyncIterator[SpokenPiece]]
"""Text and language -> pieces of speech (``server.text``)."""


class Mouthpiece(Protocol):
    """Who says it: a session."""

    async def room(self) -> None:
        """Wait until more sound can be taken."""
        ...

    async def quiet(self) -> None:
        """Wait until all sound is over."""
        ...

    def say_piece(self, piece: SpokenPiece, told: dict[str, Any]) -> None:
        """Say a piece; ``told`` goes into its event."""
        ...

    def end_text(self) -> None:
        """A text has no more pieces."""
        ...

    def tell(self, event: str, **told: Any) -> None:
        """An event of now."""
        ...


@dataclass(frozen=True)
class _Text:
    text: str
    language: str
    name: str | None


class Texts:
    """One session's texts.

    Args:
        mouth: who says them. speak: text to speech. chars, waiting: most of a text, and of texts that wait.
    """

    def __init__(self, mouth: Mouthpiece, speak: Speak | None, chars: int, waiting: int) -> None:
        self._mouth, self._speak = mouth, speak
        self._chars, self._most = chars, waiting
        self._waiting: deque[_Text] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a text is being said."""
        return self._task is not None

    def add(self, text: str, language: str, name: str | None) -> None:
        """Say a text after those that wait.

        Raises:
            Refused: there is no text to speech here, the text is empty or too long, or too many wait.
        """
        if self._speak is None:
            raise Refused("refused", "this server cannot speak: it needs kouxing[text], or --tts")
        if not text.strip():
            raise Refused("refused", "nothing to say: the text is empty")
        if len(text) > self._chars:
            raise Refused("refused", f"a text has at most {self._chars} characters, this one {len(text)}")
        if len(self._waiting) >= self._most:
            raise Refused("refused", f"{self._most} texts wait already")
        self._waiting.append(_Text(text, language, name))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Forget them all."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._say(self._waiting.popleft())
        finally:
            if self._task is asyncio.current_task():
                self._task = None

    async def _say(self, wanted: _Text) -> None:
        assert self._speak is not None
        # Sound that is still being heard comes first.
        await self._mouth.quiet()
        try:
            # Whoever makes pieces is a generator: it is closed at once where nobody listens any more.
            pieces = cast("AsyncGenerator[SpokenPiece, None]", self._speak(wanted.text, wanted.language))
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    await self._mouth.room()
                    phones = [[one.symbol, round(one.start_s, 4), round(one.end_s, 4)] for one in piece.phones]
                    told = {"text": piece.text, "id": wanted.name, "phones": phones}
                    while len(event_bytes({"event": "text", **told})) > MOST_EVENT_BYTES:
                        # Numbers are short to write and long to say.
                        del phones[-(len(phones) // 8 + 1) :]
                    self._mouth.say_piece(piece, told)
        except KouxingError as error:
            self._mouth.tell("error", code="refused", message=str(error), fatal=False, id=wanted.name)
        except Exception:
            LOG.exception("text to speech failed")
            self._mouth.tell("error", code="fault", message="text to speech failed", fatal=False, id=wanted.name)
        self._mouth.end_text()
        await self._mouth.quiet()
