"""A worker process: hears the sound of several sessions and gives their rows. ``python -m kouxing.server.worker``.

Messages of ``server.pipe`` come by standard input and go by standard output; the end of the input ends the process, so
that none is ever left behind.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

from kouxing.config import one_thread_a_library

one_thread_a_library()

import numpy as np  # noqa: E402

from kouxing.errors import KouxingError  # noqa: E402
from kouxing.infer.animate import load  # noqa: E402
from kouxing.infer.expression import Expression  # noqa: E402
from kouxing.infer.mouth import Mouth  # noqa: E402
from kouxing.server.faces import Face, look_ahead_ms  # noqa: E402
from kouxing.server.pipe import Reader, Say, manner_of, packed, packed_json, packed_rows  # noqa: E402
from kouxing.server.protocol import Rows, to_float  # noqa: E402
from kouxing.units import SAMPLE_HZ  # noqa: E402

AT_ONCE = 1 << 18
"""Bytes read at a time."""


class Worker:
    """The streams of one process.

    Args:
        methods: models to load before work begins; others are loaded when they are first asked for.
        send: takes bytes for the server.
    """

    def __init__(self, methods: list[str], send: Any) -> None:
        self._models: dict[str, Mouth | Expression] = {}
        self._faces: dict[int, Face] = {}
        self._send = send
        for method in methods:
            self._model(method)
            self._warm(method)

    def ready(self) -> bytes:
        """The message that work may begin."""
        waits = {method: look_ahead_ms(model) for method, model in self._models.items()}
        return packed_json(Say.READY, 0, {"look_ahead_ms": waits})

    def clear(self) -> None:
        """Forget all streams."""
        self._faces.clear()

    def take(self, say: Say, stream: int, payload: bytes) -> None:
        """Work on one message."""
        if say is Say.PING:
            self._send(packed(Say.PONG, stream))
        elif say is Say.OPEN:
            told = json.loads(payload)
            face = Face(self._model(told["method"]), told["first"], manner_of(told["manner"]))
            self._faces[stream] = face
        elif say is Say.CLOSE:
            self._faces.pop(stream, None)
        elif (known := self._faces.get(stream)) is not None:
            if say is Say.SOUND:
                self._give(stream, known.push(to_float(np.frombuffer(payload, np.int16))))
            elif say is Say.MANNER:
                known.manner = manner_of(json.loads(payload))
            elif say is Say.FINISH:
                self._give(stream, known.finish())
                del self._faces[stream]
                self._send(packed(Say.DONE, stream))

    def _give(self, stream: int, rows: Rows | None) -> None:
        if rows is not None:
            self._send(packed_rows(stream, rows))

    def _model(self, method: str) -> Mouth | Expression:
        if method not in self._models:
            self._models[method] = load(method, live=True)
        return self._models[method]

    def _warm(self, method: str) -> None:
        """A network's first runs are slow; nobody shall wait for them."""
        face = Face(self._models[method], 0, manner_of({"emotion": [1, 0, 0, 0, 0, 0, 0], "mouth": 1.0, "idle": True,
                                                        "seed": 0}))  # fmt: skip
        for _ in range(10):
            face.push(np.zeros(SAMPLE_HZ // 10, np.float32))


def main(methods: list[str]) -> int:
    """Work until the input ends; returns the exit code."""
    # Whatever a library prints must not fall into the messages.
    out = os.dup(1)
    os.dup2(2, 1)

    def send(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(out, view) :]

    try:
        worker = Worker(methods, send)
        gc.collect()
        gc.freeze()
        send(worker.ready())
        reader = Reader()
        while data := os.read(0, AT_ONCE):
            for say, stream, payload in reader.feed(data):
                worker.take(say, stream, payload)
    except (BrokenPipeError, KeyboardInterrupt):
        return 0
    except KouxingError as error:
        send(packed_json(Say.FAULT, 0, str(error)))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
