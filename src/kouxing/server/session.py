"""A session: one voice and its face on one sound clock, whatever the transport.

For other parts of the server::

    session.push_sound(samples)            # [N] float32 or int16 at 16 kHz; never waits
    session.say("Hello", language="en-us")
    session.interrupt()
    session.end()                          # no more sound for now
    async for item in session.out():       # SoundBlock, Rows, Event, each with its time on the session's clock
    session.mixer = lambda rows: rows      # sees every batch of rows before it goes out: motion capture

Everything here runs on the event loop and takes microseconds; the networks run in the pool's processes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from kouxing.server.audience import Audience, Sink
from kouxing.server.clock import SoundClock
from kouxing.server.counts import Counts
from kouxing.server.hello import Mood
from kouxing.server.intake import Block, Intake
from kouxing.server.limits import Limits
from kouxing.server.outlet import Event, Item, Outlet, SoundBlock
from kouxing.server.pool import Pool, Stream
from kouxing.server.protocol import MOST_ROWS, Rows, Sound, row_at, row_time, to_s16
from kouxing.server.resting import CLOSING, Resting
from kouxing.server.text import SpokenPiece
from kouxing.server.texts import Speak, Texts
from kouxing.server.told import Told
from kouxing.server.wish import Wish
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

MOST_OWED = 2 * SAMPLE_HZ
"""Samples that a network may be behind before it is given more: what it cannot do shall wait here, where it is
counted."""
MOST_BEHIND = 3 * SAMPLE_HZ
"""Samples by which live sound may lag behind real time for want of processor time."""
QUIET = 330
"""Of int16, -40 dB: sound that stays under it is a pause."""
KEPT_ROWS = 2 * COEFFICIENT_HZ
"""Rows sent last that an interruption may have to look at."""
DELAYS = 64
"""Latest batches of rows whose delay is remembered."""
IDLE_ROWS = 2
"""Idle rows that go out together."""
MOST_IDLE = 2 * COEFFICIENT_HZ
"""Rows that a resting face is behind at the most: after a machine that slept, those of the night are of no use."""


class Session:
    """See the module.

    Args:
        name: its id.
        wish: what it is to be.
        pool: that runs the networks.
        limits: of its queues.
        now: seconds, increasing.
        speak: text to speech; None where there is none.

    Attributes:
        closed: it is over. abandoned: because the server stops.
        mood: the emotion that was last asked for, in its words.
    """

    def __init__(
        self, name: str, wish: Wish, pool: Pool, limits: Limits, now: Callable[[], float], speak: Speak | None = None
    ) -> None:
        self.name = name
        self.wish = wish
        self.counts = Counts()
        self.mixer: Callable[[Rows], Rows] | None = None
        self.lasting = False
        self.mood: Mood = ""
        self.closed = self.abandoned = False
        self.delays_s: deque[float] = deque(maxlen=DELAYS)
        self._pool, self._limits = pool, limits
        self._clock = SoundClock(now)
        self._audience = Audience(limits.terminal_frames)
        self._queue = Intake(limits.queue_s)
        self._stream: Stream | None = None
        self._source = "sound"
        self._finishing: str | None = None
        self._end = 0
        self._stalled = self._filled = 0
        self._moved = False
        self._texts = Texts(self, speak, limits.text_chars, limits.texts)
        self._room = asyncio.Event()
        self._next = 0
        self._resting = True
        self._recent: deque[tuple[int, Float]] = deque(maxlen=KEPT_ROWS)
        self._told = Told()
        self._quiet = asyncio.Event()
        self._face = Resting(wish.manner.seed)

    # -- what comes in ------------------------------------------------------------------------------------------------

    @property
    def time(self) -> int:
        """Present time on the session's clock, in samples."""
        return self._clock.time

    @property
    def speaks(self) -> bool:
        """Whether sound is on its way through."""
        return self._stream is not None or bool(self._queue)

    @property
    def queued_s(self) -> float:
        """Sound that waits."""
        return self._queue.samples / SAMPLE_HZ

    def push_sound(self, samples: Float | Sound, time: int | None = None) -> None:
        """Take sound; it waits for its turn, up to the limit.

        Args:
            samples: ``[N]`` float32 (-1..1) or int16 at 16 kHz.
            time: the client's count of its first sample; None: it follows what came before.
        """
        sound = samples.astype(np.int16) if samples.dtype == np.int16 else to_s16(samples.astype(np.float32))
        if self.closed or not len(sound):
            return
        if self._texts.busy:
            self.counts.lose(len(sound), "speaking")
            return
        # Silence that stood in for missing sound already is not laid a second time.
        lost = self._queue.take(sound, time, 0 if self._queue else self._stalled)
        if lost is not None:
            self.counts.lose(len(sound), lost)
            return
        self.counts.heard += len(sound)
        self._pump()

    def end(self) -> None:
        """No more sound for now: the rows owed come, then the face rests."""
        if not self._texts.busy:
            self.end_text()

    def say(self, text: str, language: str | None = None, name: str | None = None) -> None:
        """Speak a text; several wait their turn. Sound that is being heard ends.

        Args:
            text: what to say.
            language: by default the session's.
            name: comes back in the events about it.

        Raises:
            Refused: there is no text to speech here, the text is empty or too long, or too many wait.
        """
        speaking = self._texts.busy
        self._texts.add(text, language or self.wish.language, name)
        if not speaking:
            self.end_text()

    def change(self, wish: Wish) -> None:
        """Another manner from now on."""
        self.wish = replace(wish, method=self.wish.method)
        if self._stream is not None:
            self._stream.change(self.wish.manner)

    def interrupt(self) -> None:
        """Stop at once: every queue is emptied, the mouth goes to rest within 0.1 s."""
        self.counts.interrupts += 1
        self._texts.stop()
        self._queue.clear()
        if self._stream is not None:
            self._stream.close()
        self._over("interrupt", self.time)
        cut = row_at(self.time)
        self._audience.interrupt(row_time(cut))
        shown = [values for number, values in self._recent if number < cut]
        self._recent = deque(((number, values) for number, values in self._recent if number < cut), KEPT_ROWS)
        self._tell(row_time(cut), "interrupt")
        self._face.ease(cut, shown[-1] if shown else None)
        self._next = cut
        self._idle(cut + CLOSING)

    def close(self) -> None:
        """The session is over."""
        if self.closed:
            return
        self.closed = True
        try:
            self._texts.stop()
            if self._stream is not None:
                self._stream.close()
        finally:
            # Whatever became of the network, nobody waits for more.
            self._stream = None
            self._queue.clear()
            self._audience.close()

    # -- what goes out ------------------------------------------------------------------------------------------------

    def out(self, wants: Iterable[str] = ("coefficients", "sound"), keeps: bool = False) -> Outlet:
        """A new listener from now on; close it when it leaves.

        Args:
            wants: any of ``coefficients``, ``sound``, ``body``; events always come.
            keeps: the session goes on for this listener though its own terminal is gone.
        """
        return self._audience.out(wants, keeps)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._audience)

    @property
    def wanted(self) -> bool:
        """Whether it shall go on though its own terminal is gone."""
        return self.lasting or self._audience.keeps

    def attach(self, sink: Sink) -> None:
        """Let somebody hear what the session hears or says, from now on."""
        self._audience.attach(sink)

    def detach(self, sink: Sink) -> None:
        """Let it go."""
        self._audience.detach(sink)

    def tell(self, event: str, **told: Any) -> None:
        """An event of now, to all listeners."""
        self._tell(self.time, event, **told)

    def tick(self) -> None:
        """To be called about 60 times a second: idle motion, sound that waits, sound that stalls."""
        if self.closed:
            return
        self._catch_up()
        self._pump()
        for reason, count in self.counts.news(self.time).items():
            self.tell("dropped", what="sound", count=count, reason=reason)
        if self._stream is None:
            due = row_at(self.time)
            if due - self._next >= (1 if self.mixer is not None else IDLE_ROWS):
                self._idle(due)
        elif self._finishing is None and not self._queue:
            self._fill()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Hand sound to the network, no further ahead of real time than the lead."""
        lead = self._limits.lead_s * SAMPLE_HZ
        while self._queue and self._finishing is None:
            if self._queue.ends:
                self._queue.next()
                self._finish("end")
                continue
            if self._stream is not None and (self._end - self.time >= lead or self._owed > MOST_OWED):
                break
            block = self._queue.next()
            if self._takes_back(block):
                self._filled -= len(block.sound)
                self._moved = True
                continue
            self._lay(block)
        if self._queue.samples < lead:
            self._room.set()

    def _takes_back(self, block: Block) -> bool:
        """Whether to leave out a pause of late sound: else the face would stay late by what stood in for it."""
        length = len(block.sound)
        if self._stream is None or not self._source == block.source == "sound" or not 0 < length <= self._filled:
            return False
        return self._end - self.time >= length and float(np.abs(block.sound.astype(np.int32)).max()) < QUIET

    @property
    def _owed(self) -> int:
        """Samples that the network was given and has not answered."""
        return self._end - row_time(self._next)

    def _catch_up(self) -> None:
        """On a machine that cannot keep up, live sound is skipped: late rows are of no use, and nothing may pile up.

        What the network still owes goes, too: what comes next begins anew, and now.
        """
        if self._stream is None or self._source != "sound" or self._finishing is not None:
            return
        if self.time - self._end < MOST_BEHIND:
            return
        skipped = self._queue.skip(self._queue.samples)
        self.counts.lose(skipped + max(self._owed, 0), "overload")
        self._stream.close()
        self._over("overload", self.time)

    def _lay(self, block: Block) -> None:
        """Put sound onto the clock."""
        if self._stream is None:
            first = max(self._next, row_at(self.time))
            if first > self._next:
                self._idle(first)
            self._stream = self._pool.open(self.wish.method, first, self.wish.manner, self._made, self._done)
            self._source, self._end, self._filled = block.source, row_time(first), 0
            self._started(block)
        elif block.anew or self._stalled or self._moved:
            self._started(block)
        self._stalled, self._moved = 0, False
        if block.text is not None:
            self._tell(self._end, "text", **block.text)
        self._told.lay(row_at(self._end), block.rows, block.contact)
        self._give_sound(block.sound)
        if block.source == "sound" and self._owed < MOST_OWED // 2:
            # Lag that comes from the network is no microphone's.
            self._clock.heard(self._end)

    def _started(self, block: Block) -> None:
        told = {"input": block.input} if block.source == "sound" else {"id": (block.text or {}).get("id")}
        self._tell(self._end, "start", source=block.source, **told)

    def _give_sound(self, sound: Sound) -> None:
        assert self._stream is not None
        self._stream.push(sound)
        self.send(SoundBlock(self._end, sound, self._source == "text"))
        self._audience.hear(sound)
        self._end += len(sound)

    def _fill(self) -> None:
        """Silence where sound should have come."""
        late = min(self.time - self._end, SAMPLE_HZ)
        if self._owed > MOST_OWED or late <= (0 if self._stalled else self._limits.stall_s * SAMPLE_HZ):
            return
        self._give_sound(np.zeros(late, np.int16))
        self._stalled += late
        self._filled += late
        if self._source == "sound" and self._stalled > self._limits.over_s * SAMPLE_HZ:
            self._queue.forget()
            self._finish("stalled")

    def _finish(self, reason: str) -> None:
        if self._stream is not None:
            self._finishing = reason
            self._stream.finish()
            self._audience.pause()

    def _done(self) -> None:
        """All rows of a finished stream are there."""
        reason = self._finishing or "end"
        self._over(reason, self._end)
        self._pump()

    def _over(self, reason: str, time: int) -> None:
        if self._stream is None:
            return
        self._stream, self._finishing, self._stalled = None, None, 0
        self._told.clear()
        self._quiet.set()
        self._tell(time, "end", source=self._source, reason=reason)
        if self._recent:
            if self.wish.method == "expression":
                self._face.hold(np.mean([values for _, values in self._recent], 0))
            self._face.ease(self._next, self._recent[-1][1])

    def _made(self, first: int, values: Float, rest: bool) -> None:
        """Rows of the speaking face."""
        self._next = first + len(values)
        self.delays_s.append((self.time - row_time(self._next - 1)) / SAMPLE_HZ)
        times = np.arange(first, self._next, dtype=np.int64) * SAMPLE_HZ // COEFFICIENT_HZ
        if self._told:
            values, moved = self._told.on(values, first, self.wish.manner.mouth)
            rest = rest and not moved
        self._rows(Rows(times, values, rest), first)

    def _idle(self, until: int) -> None:
        """Rows of the resting face up to, not with, row ``until``."""
        self._next = max(self._next, until - MOST_IDLE)
        while self._next < until:
            first = self._next
            self._next = min(until, first + MOST_ROWS)
            idle = self.wish.manner.idle
            rows = self._face.rows(first, self._next, idle)
            if idle or not rows.rest or self.mixer is not None:
                self._rows(rows, first)

    def _rows(self, rows: Rows, first: int) -> None:
        if self.mixer is not None:
            rows = self.mixer(rows)
        self._recent.extend(enumerate(rows.values, first))
        if rows.rest != self._resting:
            self._resting = rows.rest
            self._tell(int(rows.times[0]), "silence" if rows.rest else "speech")
        self.counts.rows += len(rows)
        self.send(rows)

    def _tell(self, time: int, event: str, **told: Any) -> None:
        self.send(Event(time, {"event": event, **told}))

    def send(self, item: Item) -> None:
        """Give an item to all listeners."""
        self._audience.send(item)

    # -- texts --------------------------------------------------------------------------------------------------------

    async def room(self) -> None:
        """Wait until more sound can be taken."""
        while self._queue.samples >= self._limits.lead_s * SAMPLE_HZ:
            self._room.clear()
            await self._room.wait()

    async def quiet(self) -> None:
        """Wait until all sound is over."""
        while self._stream is not None or self._queue:
            self._quiet.clear()
            await self._quiet.wait()

    def say_piece(self, piece: SpokenPiece, told: dict[str, Any]) -> None:
        """Say a piece of a text; ``told`` goes into its event."""
        sound = to_s16(piece.samples)
        if len(sound):
            self._queue.add(Block(sound, source="text", text=told, rows=piece.rows, contact=piece.contact))
            self._pump()

    def end_text(self) -> None:
        """What waits is the last for now."""
        if self._queue or (self._stream is not None and self._finishing is None):
            self._queue.end()
            self._pump()
        self._queue.forget()
