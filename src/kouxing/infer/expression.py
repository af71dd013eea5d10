"""``expression`` in use: 16 kHz samples, emotion and style in, coefficients out, streaming, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from kouxing import weights
from kouxing.arkit import COEFFICIENTS, EMOTIONS
from kouxing.audio.encoder import around, front_of, quiet, rows_per_frame
from kouxing.audio.features import MelStream
from kouxing.face.closure import drawn_together, lip_distance
from kouxing.infer.blinks import Blinks
from kouxing.infer.mouth import NAME as MOUTH
from kouxing.infer.mouth import Mouth, look_ahead_ms
from kouxing.infer.rest import FRONT_LIMITS, MEL_LIMITS, Rest, nearer
from kouxing.types import CoefficientTrack, Float
from kouxing.units import FRAME_HZ, MELS_PER_FRAME, SAMPLES_PER_FRAME

NAME, LIVE_NAME = "expression", "expression_live"
"""The one hears files, seconds ahead; the other looks 97.5 ms ahead, for streams. Beside each lies its reader of
styles."""
NEAR = 0.05
"""Lip distances under this become closed lips where ``mouth`` is asked too: a mean of two closes less than either. As
small as it may be for no group of ``val`` to close worse than without ``mouth`` (docs/log.md)."""
AT_ONCE = 100
"""Steps given to the network in one call, so that an hour pushed at once does not fill the memory."""

NO_ROWS = np.zeros((0, len(COEFFICIENTS)), np.float32)

Schedule = Callable[[Float], Float]
"""Times ``[n]`` in seconds -> rows ``[n, D]`` for these times."""


class Expression:
    """Loads the ``expression`` weights once; any number of streams share them.

    Args:
        threads: CPU threads of the network; by default those of ``weights.session``.
        folder: where the weights lie; by default where ``weights.session`` looks.
        live: take the one that looks less far ahead.

    Attributes:
        rate_hz: rows per second; row i stands for time i / rate_hz.
        look_ahead_ms: sound that a row waits for beyond its own time.
        frames_ahead: whole video frames heard behind a row's own when it is made.
        before_rows, after_rows: rows of sound around a video frame's own that its row is made of.
        front: what it hears through; None: log-mel. ``heard`` is the network's name for those rows of sound.
        style_width: numbers in a style.
        mouth: the second opinion on how far neutral lips are apart, and ``mouth_share`` how much it counts; None
            where it does not.

    Raises:
        WeightError: the weights are missing or damaged.
    """

    def __init__(self, threads: int | None = None, folder: Path | None = None, live: bool = False) -> None:
        name = LIVE_NAME if live else NAME
        self.session, self.card = weights.session(name, threads=threads, folder=folder)
        self._reader, _ = weights.session(f"{name}_style", threads=threads, folder=folder)
        self.dimensions: dict[str, Any] = self.card["dimensions"]
        ear = self.dimensions["ear"]
        self.rate_hz = Fraction(self.dimensions["rate_hz"])
        self.before_rows, self.after_rows = around(ear)
        self.heard = self.session.get_inputs()[0].name
        self.front = front_of(ear, threads, folder, self.card.get("front"))
        # A row waits for this much sound anyway, which also tells whether anybody speaks.
        if self.front is None:
            self.look_ahead_ms = look_ahead_ms(MELS_PER_FRAME - 1 + self.after_rows)
            self.frames_ahead = self.after_rows // MELS_PER_FRAME
        else:
            self.look_ahead_ms = self.front.look_ahead_ms + self.after_rows * 1000 / FRAME_HZ
            self.frames_ahead = self.front.frames_ahead
        self.style_width = int(self.dimensions["style"])
        self.mouth_share = float(self.dimensions.get("mouth_share", 0))
        beside = folder if folder is not None and (folder / f"{MOUTH}.onnx").exists() else None
        self.mouth = Mouth(threads=threads, folder=beside) if self.mouth_share else None
        if self.mouth is not None:
            self.look_ahead_ms = max(self.look_ahead_ms, self.mouth.look_ahead_ms)

    def read_style(self, track: CoefficientTrack) -> Float:
        """The style ``[S]`` of a reference clip, from how its coefficients move (10 s or more tell most)."""
        values = track.values
        moving = np.maximum(values - np.quantile(values, 0.1, axis=0), 0)
        told = np.concatenate([moving.mean(0), moving.std(0)]).astype(np.float32)
        return np.asarray(self._reader.run(None, {"statistics": told[None]})[0][0], np.float32)

    def stream(
        self, emotion: Float | Schedule | None = None, style: Float | Schedule | None = None, blinks: int | None = None
    ) -> ExpressionStream:
        """A stream at its beginning.

        Args:
            emotion: ``[7]`` shares of ``arkit.EMOTIONS``, or a function of time giving rows of them (such as
                ``infer.emotion.emotion_at`` with its moods bound); None is neutral.
            style: ``[S]`` (``read_style``), or a function of time; None is the average style.
            blinks: seed of blinks to add; None adds none.
        """
        return ExpressionStream(self, emotion, style, blinks)


class ExpressionStream:
    """One speech being heard."""

    def __init__(
        self, expression: Expression, emotion: Float | Schedule | None, style: Float | Schedule | None,
        blinks: int | None,
    ) -> None:  # fmt: skip
        self._expression = expression
        neutral = np.eye(len(EMOTIONS), dtype=np.float32)[EMOTIONS.index("neutral")]
        self._emotion = neutral if emotion is None else emotion
        self._style = np.zeros(expression.style_width, np.float32) if style is None else style
        self._blinks = None if blinks is None else Blinks(expression.rate_hz, blinks)
        ear, size = expression.dimensions["ear"], expression.dimensions
        self._ear = np.zeros((ear.get("members", 1) * ear["layers"], 1, ear["hidden"]), np.float32)
        self._state = np.zeros((1, 1, size["hidden"]), np.float32)
        self._per_frame = rows_per_frame(ear)
        self._sounds = quiet(ear, expression.before_rows)
        self._sound = MelStream() if expression.front is None else expression.front.stream()
        limits = MEL_LIMITS if expression.front is None else FRONT_LIMITS
        self._rest = Rest(expression.frames_ahead, limits)
        self._mouth = expression.mouth.stream() if expression.mouth is not None else None
        # Rows that wait for the other opinion, how neutral each is, and what the other says.
        self._rows, self._neutral, self._told = NO_ROWS, NO_ROWS[:, 0], NO_ROWS[:, 0]
        self._heard = self._given = 0

    def push(
        self, samples: Float, emotion: Float | Schedule | None = None, style: Float | Schedule | None = None
    ) -> Float:
        """Take ``[N] float32`` samples at ``SAMPLE_HZ``; give the ``[n, 52] float32`` rows they complete.

        Args:
            samples: sound.
            emotion, style: as for ``Expression.stream``; from the rows completed now on, instead of those before.
        """
        self._emotion = self._emotion if emotion is None else emotion
        self._style = self._style if style is None else style
        # One number that is none would stay in every state for good.
        samples = np.nan_to_num(np.asarray(samples, np.float32), posinf=0, neginf=0)
        self._heard += len(samples)
        self._rest.hear(samples)
        self._run(self._sound.push(samples))
        if self._mouth is not None:
            self._tell(self._mouth.push(samples))
        return self._ready()

    def finish(self) -> Float:
        """The rows still owed, ``[n, 52]``: with those before, one for every begun video frame."""
        self._rest.finish()
        rows = -(-self._heard // SAMPLES_PER_FRAME)
        rest = self._sound.finish()
        held = len(self._sounds) + len(rest) - self._expression.before_rows
        wanted = (rows - self._given) * self._per_frame + self._expression.after_rows
        self._run(np.concatenate([rest, quiet(self._expression.dimensions["ear"], max(0, wanted - held))]))
        if self._mouth is not None:
            self._tell(self._mouth.finish())
        return self._ready()

    def _tell(self, rows: Float) -> None:
        self._told = np.concatenate([self._told, np.maximum(lip_distance(rows), 0)])

    def _ready(self) -> Float:
        """The next rows, with lips as both say and as silence wants them."""
        count = len(self._rows) if self._mouth is None else min(len(self._rows), len(self._told))
        rows, self._rows = self._rows[:count], self._rows[count:]
        neutral, self._neutral = self._neutral[:count], self._neutral[count:]
        told, self._told = self._told[:count], self._told[count:]
        if self._mouth is not None:
            rows = _agreed(rows, told, neutral, self._expression.mouth_share)
        rows = self._rest.shut(rows)
        return rows if self._blinks is None else self._blinks.add(rows)

    def _run(self, sounds: Float) -> None:
        self._sounds = np.concatenate([self._sounds, sounds])
        context = self._expression.before_rows + self._expression.after_rows
        made, neutral = [self._rows], [self._neutral]
        while (steps := min(AT_ONCE, (len(self._sounds) - context) // self._per_frame)) > 0:
            times = (self._given + np.arange(steps)) / float(self._expression.rate_hz)
            given = {
                self._expression.heard: self._sounds[None, : context + steps * self._per_frame],
                "emotion": _rows(self._emotion, times, len(EMOTIONS), "emotion"),
                "style": _rows(self._style, times, self._expression.style_width, "style"),
                "ear": self._ear,
                "state": self._state,
            }
            values, self._ear, self._state = self._expression.session.run(None, given)
            self._sounds = self._sounds[steps * self._per_frame :]
            self._given += steps
            made.append(values[0])
            neutral.append(given["emotion"][0, :, EMOTIONS.index("neutral")])
        self._rows, self._neutral = np.concatenate(made), np.concatenate(neutral)


def _agreed(rows: Float, told: Float, neutral: Float, share: float) -> Float:
    """Rows ``[n, 52]`` with lips as far apart as both models say.

    Args:
        rows: of the one.
        told: lip distance ``[n]`` of the other, not under 0.
        neutral: ``[n]`` share of that emotion: strong ones open the mouth by themselves.
        share: how much the other counts.
    """
    own = np.maximum(lip_distance(rows), 0)
    both = (1 - share) * own + share * told
    return nearer(rows, neutral * (own - drawn_together(both, NEAR)))


def _rows(given: Float | Schedule, times: Float, width: int, what: str) -> Float:
    """``[1, n, width]`` for these times."""
    rows = np.asarray(given(times) if callable(given) else given, np.float32)
    if rows.shape == (width,):
        rows = np.broadcast_to(rows, (len(times), width))
    if rows.shape != (len(times), width):
        raise ValueError(f"{what} must be [{width}] or give [{len(times)}, {width}], got {rows.shape}")
    return np.ascontiguousarray(rows[None])
