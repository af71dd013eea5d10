"""Figures of the live server."""

from __future__ import annotations

from kouxing.eval.rows.row import Row

ROWS = {
    "p50_ms": Row("Sound in → coefficients out, over loopback, look-ahead included, median", "≤", 120, "ms", 0),
    "p99_ms": Row("the same, 99th percentile", "≤", 200, "ms", 0),
    "sessions": Row("Sessions at once at 60 rows a second without a drop", "≥", 20, "", 0),
    "p50_ms_loaded": Row("Delay with that many sessions, median", "", 0, "ms", 0),
    "p99_ms_loaded": Row("the same, 99th percentile", "≤", 250, "ms", 0),
    "drops": Row("Rows dropped or missing with that many sessions", "=", 0, "", 0),
    "cores_loaded": Row("Processor cores that the server then takes", "", 0),
    "interrupt_ms": Row("Interruption → mouth at rest, worst of 20", "≤", 150, "ms", 0),
    "interrupt_ms_median": Row("the same, median", "", 0, "ms", 0),
    "text_ms": Row("Text → first lip motion, median of 20", "≤", 250, "ms", 0),
    "text_ms_worst": Row("the same, worst", "", 0, "ms", 0),
    "silence_motion": Row("Largest move of a mouth coefficient while nobody speaks", "=", 0, "", 3),
    "recover_ms": Row("Worker killed → rows go on, worst", "≤", 1000, "ms", 0),
    "recover_drops": Row("Rows lost by that", "=", 0, "", 0),
    "rendered_fps": Row("Rendered footage session, 512×512", "≥", 25, "frames/s", 1),
    "skew_ms": Row("Lips against sound in a real browser, 95 % of moments of 10 minutes within", "≤", 20, "ms", 0),
    "soak_growth": Row("Memory at the end of a soak with 10 sessions, against warm", "≤", 0.05, "", 3),
    "soak_minutes": Row("Length of that soak", "", 0, "min", 0),
    "soak_mb": Row("Memory of server and workers with 10 sessions", "", 0, "MB", 0),
    "soak_leaked": Row("Processes and open files left after it", "=", 0, "", 0),
    "soak_drops": Row("Rows dropped in it", "", 0, "", 0),
}
