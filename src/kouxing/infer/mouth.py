"""``mouth`` in use: 16 kHz samples in, coefficients out, streaming, in constant memory."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from kouxing import weights
from kouxing.arkit import COEFFICIENTS
from kouxing.audio.features import LEAD, SILENT_MEL, MelStream
from kouxing.types import Float
from kouxing.units import HOP, MEL_BANDS, MELS_PER_FRAME, SAMPLE_HZ, SAMPLES_PER_FRAME

NAME = "mouth"
STATE = ("features", "known", "hidden", "cell", "context", "contexts", "own", "last")
"""The graph's state, as ``models.mouth.STATE``; what goes in as ``x`` comes out as ``next_x``."""
UNKNOWN = -1e4
"""Attention score of steps before the beginning."""


def look_ahead_ms(reach_mels: int) -> float:
    """How much later than row i's own time (i / 25 s) the last sample stands that the row depends on.

    Args:
        reach_mels: mel frames after the row's first one that it knows of.
    """
    return 1000 * ((reach_mels + 1) * HOP + LEAD) / SAMPLE_HZ


class Mouth:
    """Loads the ``mouth`` weights once; any number of streams share them.

    Args:
        threads: CPU threads of the network; by default those of ``weights.session``.
        folder: where the weights lie; by default where ``weights.session`` looks.

    Attributes:
        rate_hz: rows per second; row i stands for time i / rate_hz.
        look_ahead_ms: sound that a row waits for beyond its own time.

    Raises:
        WeightError: the weights are missing or damaged.
    """

    def __init__(self, threads: int | None = None, folder: Path | None = None) -> None:
        self.session, self.card = weights.session(NAME, threads=threads, folder=folder)
        self.dimensions: dict[str, Any] = self.card["dimensions"]
        self.rate_hz = Fraction(self.dimensions["rate_hz"])
        self.look_ahead_ms = look_ahead_ms(self.dimensions["reach"])
        self._shapes = {one.name: one.shape for one in self.session.get_inputs()}

    def stream(self) -> MouthStream:
        """A stream at its beginning."""
        return MouthStream(self)

    def initial_state(self) -> dict[str, Float]:
        """The network's state before anything was heard."""
        state = {name: np.zeros(self._shapes[name], np.float32) for name in STATE}
        state["known"][:] = UNKNOWN
        return state


class MouthStream:
    """One speech being heard."""

    def __init__(self, mouth: Mouth) -> None:
        self._mouth = mouth
        size = mouth.dimensions
        self._ahead, self._span = int(size["ahead"]), int(size["past"]) + 1 + int(size["ahead"])
        blocks = int(size["blocks"])
        # models.mouth.MouthDimensions.window_mels and .before_mels.
        self._window = 10 + 2 * blocks * MELS_PER_FRAME
        before = self._window - 1 - int(size["reach"]) + MELS_PER_FRAME * self._ahead
        self._mel = np.full((before, MEL_BANDS), SILENT_MEL, np.float32)
        self._sound = MelStream()
        self._state = mouth.initial_state()
        self._step = -self._ahead
        self._heard = 0

    def push(self, samples: Float) -> Float:
        """Take ``[N] float32`` samples at ``SAMPLE_HZ``; give the ``[n, 52] float32`` rows they complete."""
        return self.explain(samples)[0]

    def finish(self) -> Float:
        """The rows still owed, ``[n, 52]``: with those before, one for every begun video frame."""
        return self.explain_finish()[0]

    def explain(self, samples: Float) -> tuple[Float, Float]:
        """As ``push``, with the attention's weights ``[n, span]``.

        Column ``past`` of a row is the row's own step; those before it lie in the past, those after it ahead.
        """
        self._heard += len(samples)
        return self._run(self._sound.push(np.asarray(samples, np.float32)), None)

    def explain_finish(self) -> tuple[Float, Float]:
        """As ``finish``, with the attention's weights."""
        rows = -(-self._heard // SAMPLES_PER_FRAME)
        rest = self._sound.finish()
        steps_left = rows - self._step
        wanted = self._window + (steps_left - 1) * MELS_PER_FRAME if steps_left > 0 else 0
        missing = max(0, wanted - len(self._mel) - len(rest))
        return self._run(np.concatenate([rest, np.full((missing, MEL_BANDS), SILENT_MEL, np.float32)]), rows)

    def _run(self, mel: Float, rows: int | None) -> tuple[Float, Float]:
        self._mel = np.concatenate([self._mel, mel])
        made: list[Float] = []
        weights_: list[Float] = []
        at = 0
        session, names = self._mouth.session, ["coefficients", "attention", *(f"next_{name}" for name in STATE)]
        while len(self._mel) - at >= self._window and (rows is None or self._step < rows):
            window = self._mel[None, at : at + self._window]
            values, alpha, *following = session.run(names, {"mel": window, **self._state})
            state = dict(zip(STATE, following, strict=True))
            if self._step < 0:
                # Before row 0 only the features that it looks ahead to are gathered.
                state = {**self._mouth.initial_state(), "features": state["features"], "known": state["known"]}
            else:
                made.append(values[0])
                weights_.append(alpha[0])
            self._state = state
            self._step += 1
            at += MELS_PER_FRAME
        self._mel = self._mel[at:]
        if not made:
            return np.zeros((0, len(COEFFICIENTS)), np.float32), np.zeros((0, self._span), np.float32)
        return np.stack(made), np.stack(weights_)
