"""What Prometheus reads at ``/metrics``, taken from the server's own counts when it asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from kouxing.server.live import Live
from kouxing.units import SAMPLE_HZ


class Counted(Collector):
    """The counts of one server.

    Args:
        live: whose.
    """

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> Iterator[Metric]:
        """All metrics of now."""
        live, now = self._live, self._live.sessions
        sums = {
            name: getattr(live.counts, name) + sum(getattr(one.counts, name) for one in now)
            for name in ("rows", "heard", "dropped", "interrupts")
        }
        yield GaugeMetricFamily("kouxing_sessions", "Sessions alive.", len(now))
        yield GaugeMetricFamily("kouxing_speaking", "Sessions with sound on its way.", sum(one.speaks for one in now))
        yield GaugeMetricFamily("kouxing_connections", "WebSockets open.", live.connections)
        yield GaugeMetricFamily("kouxing_queued_seconds", "Sound that waits.", sum(one.queued_s for one in now))
        yield GaugeMetricFamily("kouxing_workers", "Worker processes.", len(live.pool.pids))
        yield GaugeMetricFamily("kouxing_streams", "Stretches of speech in the workers.", live.pool.streams)
        yield CounterMetricFamily("kouxing_sessions_made", "Sessions begun.", live.counts.sessions)
        yield CounterMetricFamily("kouxing_rows", "Rows sent, each to all terminals of its session.", sums["rows"])
        yield CounterMetricFamily("kouxing_sound_seconds", "Sound taken.", sums["heard"] / SAMPLE_HZ)
        yield CounterMetricFamily("kouxing_dropped_seconds", "Sound not taken.", sums["dropped"] / SAMPLE_HZ)
        yield CounterMetricFamily("kouxing_interrupts", "Interruptions.", sums["interrupts"])
        yield CounterMetricFamily("kouxing_terminal_drops", "Items that slow terminals lost.", live.lost)
        yield CounterMetricFamily("kouxing_workers_replaced", "Workers that died.", live.pool.told.replaced)
        yield CounterMetricFamily("kouxing_streams_moved", "Streams that went on elsewhere.", live.pool.told.moved)
        delay = GaugeMetricFamily(
            "kouxing_row_delay_seconds", "Real time minus a row's time when it left, lately: median and the worst.",
            labels=["quantile"],
        )  # fmt: skip
        delays = live.delays_s()
        if delays:
            delay.add_metric(["0.5"], delays[len(delays) // 2])
            delay.add_metric(["1"], delays[-1])
        yield delay
        refused = CounterMetricFamily("kouxing_refused", "Connections refused.", labels=["code"])
        for code, count in sorted(live.counts.refused.items()):
            refused.add_metric([code], count)
        yield refused
        captured = GaugeMetricFamily("kouxing_capture", "Motion capture.", labels=["source", "what"])
        for source, told in live.capture_counts().items():
            for what, count in told.items():
                captured.add_metric([source, what], count)
        yield captured


def exposition(live: Live) -> bytes:
    """The page."""
    registry = CollectorRegistry()
    registry.register(Counted(live))
    return generate_latest(registry)
