"""What the animation models' streams cost: delay, work and size."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np

from kouxing import weights
from kouxing.eval.animate_findings import LIVE
from kouxing.infer.animate import voice
from kouxing.infer.animator import Animator
from kouxing.infer.expression import Expression
from kouxing.infer.mouth import Mouth
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

WEIGHTS = {LIVE: ("expression_live", "expression_live_style", "front_live", "mouth"), "mouth": ("mouth",)}
"""What each way that streams loads."""
STREAM_S = 20
"""Speech over which the streams' delay is timed."""
HEARD_S = Fraction(1, COEFFICIENT_HZ)
"""Sound given at a time there: one frame of animation."""


def streaming(method: str, model: Mouth | Expression, samples: Float) -> dict[str, float]:
    """Delay, speed and size of a model's stream on one core, fed a sixtieth of a second at a time.

    Times are of the core's work: waiting for a core that others keep busy does not count.
    """
    samples = np.resize(samples, STREAM_S * SAMPLE_HZ).astype(np.float32)
    one = voice(model)
    whole = Animator(one.rows, one.rate)
    began = time.process_time()
    wanted = np.concatenate([whole.push(samples), whole.finish()])
    factor = (time.process_time() - began) / STREAM_S
    again = voice(model)
    animator = Animator(again.rows, again.rate)
    bounds = [int(step * HEARD_S * SAMPLE_HZ) for step in range(STREAM_S * COEFFICIENT_HZ + 1)]
    times, rows = [], []
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        began = time.process_time()
        rows.append(animator.push(samples[first:last]))
        times.append(1000 * (time.process_time() - began))
    rows.append(animator.finish())
    return {
        "lookahead_ms": one.look_ahead_ms,
        "ms_per_frame_p50": float(np.percentile(times, 50)),
        "ms_per_frame_p99": float(np.percentile(times, 99)),
        "model_mb": sum(weights.size_mb(name) for name in WEIGHTS[method]),
        "rtf": factor,
        "chunk_diff": float(np.abs(np.concatenate(rows) - wanted).max()),
    }
