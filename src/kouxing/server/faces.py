"""One stretch of speech -> rows at 60 a second, as early as the model allows. Runs in the worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kouxing.arkit import COEFFICIENTS, EMOTIONS, PLACE
from kouxing.infer.animator import Animator, RowStream
from kouxing.infer.expression import Expression
from kouxing.infer.mouth import Mouth
from kouxing.server import idle
from kouxing.server.protocol import Rows, row_time
from kouxing.server.voice import Voice
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ, exact

OPENING = [PLACE[name] for name in (
    "jawOpen", "mouthClose", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight",
)]  # fmt: skip
"""What the mouth coefficient scales: lips that touch still touch."""
MOUTH = [place for name, place in PLACE.items() if name.startswith(("mouth", "jaw", "tongue", "cheekPuff"))]
"""What rests in silence."""
MOOD = [PLACE[name] for name in (
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthDimpleLeft", "mouthDimpleRight",
)]  # fmt: skip
"""What a mood holds in silence too; it does not move there."""
SETTLED = 0.2
"""Share of the way that a mood's corners of the mouth go towards each new row while somebody speaks."""


@dataclass(frozen=True)
class Manner:
    """How to speak.

    Attributes:
        emotion: ``[7]`` shares of ``arkit.EMOTIONS``.
        mouth: how far the mouth opens.
        idle: whether idle motion is added.
        seed: of the idle motion.
    """

    emotion: tuple[float, ...] = tuple(float(name == "neutral") for name in EMOTIONS)
    mouth: float = 1.0
    idle: bool = True
    seed: int = 0


class Steps:
    """A model's stream that is handed sound only when that completes a row: small pieces cost no more than large ones.

    Args:
        stream: at its beginning.
        samples: of one model row.
        ahead: samples that a row waits for beyond its own time.
    """

    def __init__(self, stream: RowStream, samples: int, ahead: int) -> None:
        self._stream, self._samples, self._due = stream, samples, ahead
        self._held: list[Float] = []
        self._heard = 0

    def push(self, samples: Float) -> Float:
        """``[N]`` samples -> the ``[n, 52]`` rows that they complete."""
        self._held.append(samples)
        self._heard += len(samples)
        if self._heard < self._due:
            return np.zeros((0, len(COEFFICIENTS)), np.float32)
        self._due += ((self._heard - self._due) // self._samples + 1) * self._samples
        return self._stream.push(self._taken())

    def finish(self) -> Float:
        """The rows still owed."""
        return np.concatenate([self._stream.push(self._taken()), self._stream.finish()])

    def _taken(self) -> Float:
        taken = np.concatenate([np.zeros(0, np.float32), *self._held])
        self._held.clear()
        return taken


def look_ahead_ms(model: Mouth | Expression) -> float:
    """Most sound that a row at 60 a second waits for beyond its own time."""
    # Rows at 60 a second lie between model rows, the later of which must be known: the longest wait for that one.
    step = 1 / model.rate_hz
    waits = [(-Fraction(k, COEFFICIENT_HZ)) % step for k in range(COEFFICIENT_HZ)]
    return model.look_ahead_ms + 1000 * float(max(waits))


class Face:
    """One stretch of speech being heard.

    Args:
        model: loaded once, shared.
        first: number of the row that stands at the first sample.
        manner: how to speak; may be changed while it runs.
    """

    def __init__(self, model: Mouth | Expression, first: int, manner: Manner) -> None:
        self.manner = manner
        self._first = self._next = first
        self._model = model
        ahead = round(model.look_ahead_ms * SAMPLE_HZ / 1000)
        steps = Steps(self._stream(), exact(SAMPLE_HZ, int(model.rate_hz)), ahead)
        self._animator = Animator(steps, model.rate_hz)
        self._voice = Voice()
        self._mood: Float | None = None
        self._idle = idle.Idle(manner.seed)

    def push(self, samples: Float) -> Rows | None:
        """``[N] float32`` samples -> the rows that they complete, if any."""
        self._voice.push(samples)
        return self._made(self._animator.push(samples))

    def finish(self) -> Rows | None:
        """The rows still owed: one for every begun sixtieth of a second of sound."""
        return self._made(self._animator.finish())

    def _stream(self) -> RowStream:
        if isinstance(self._model, Mouth):
            return self._model.stream()
        return self._model.stream(emotion=self._emotion)

    def _emotion(self, times: Float) -> Float:
        return np.repeat(np.array(self.manner.emotion, np.float32)[None], len(times), 0)

    def _made(self, values: Float) -> Rows | None:
        count = len(values)
        if not count:
            return None
        numbers = np.arange(self._next, self._next + count, dtype=np.int64)
        self._next += count
        times = numbers * SAMPLE_HZ // COEFFICIENT_HZ
        share = self._voice.speaks((times - row_time(self._first)).astype(np.float64))
        values = self._rested(values.copy(), share)
        if self.manner.mouth != 1:
            values[:, OPENING] = np.clip(values[:, OPENING] * self.manner.mouth, 0, 1)
        if self.manner.idle:
            values = np.maximum(values, self._idle.rows(int(numbers[0]), count))
        return Rows(times, values, bool((share == 0).all()))

    def _rested(self, values: Float, share: Float) -> Float:
        """Mouths at rest where nobody speaks; corners of the mouth hold the mood."""
        mood = self._mood if self._mood is not None else np.zeros(len(MOOD), np.float32)
        held = np.zeros((len(values), len(COEFFICIENTS)), np.float32)
        for row, part in enumerate(share):
            if part > 0 and isinstance(self._model, Expression):
                mood = mood + SETTLED * part * (values[row, MOOD] - mood)
            held[row, MOOD] = mood
        self._mood = mood
        values[:, MOUTH] = held[:, MOUTH] + share[:, None] * (values[:, MOUTH] - held[:, MOUTH])
        return values
