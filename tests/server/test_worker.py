"""Live workers hear live: nobody waits for what a file's networks wait for."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("fastapi")

from kouxing.server.faces import Manner
from kouxing.server.pipe import HEAD, ROWS, Say, manner_told
from kouxing.server.worker import Worker
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ


@pytest.mark.parametrize("method", ["mouth", "expression"])
def test_rows_come_soon(method: str) -> None:
    said: list[bytes] = []
    worker = Worker([method], said.append)
    told = json.loads(worker.ready()[HEAD.size :])["look_ahead_ms"][method]
    assert told < 150
    opened = {"method": method, "first": 0, "manner": manner_told(Manner())}
    worker.take(Say.OPEN, 1, json.dumps(opened).encode())
    sound = np.random.default_rng(0).normal(0, 3_000, SAMPLE_HZ).astype(np.int16)
    for first in range(0, SAMPLE_HZ, SAMPLE_HZ // 100):
        worker.take(Say.SOUND, 1, sound[first : first + SAMPLE_HZ // 100].tobytes())
    rows = sum(ROWS.unpack_from(message, HEAD.size)[1] for message in said)
    # A second was heard: what is missing is what a row waits for, and less than one piece.
    assert rows >= COEFFICIENT_HZ * (1 - told / 1000 - 0.01) - 1
