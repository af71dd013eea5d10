"""Squares read by the mesh network, those of the next pictures already while the present one is looked at."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from kouxing.face.graphs import MeshNetwork
from kouxing.face.picture import Picture
from kouxing.face.square import Square, read
from kouxing.types import Bytes, Float, VideoFrame

WORKERS = 2
"""Pictures that are read at the same time."""

AHEAD = 3
"""Pictures that may be begun before their turn: so many that no worker waits for what is done between two turns."""

Source = Bytes | VideoFrame


class Reader:
    """Reads squares; ``begin`` and ``read`` belong to one thread.

    A square is read ahead in the hope that the face stays in it, as it does in most pictures. Where it does not, the
    work was for nothing; what ``read`` gives is the same either way.

    Attributes:
        solid: as ``MeshNetwork.solid``, of what ``read`` gave last.
    """

    def __init__(self) -> None:
        self.solid: Float | None = None
        self._spare: SimpleQueue[MeshNetwork] = SimpleQueue()
        self._spare.put(MeshNetwork())
        self._pool: ThreadPoolExecutor | None = None
        self._early: deque[tuple[Source, Square, Future[tuple[Float | None, Float | None]]]] = deque(maxlen=1 + AHEAD)

    def begin(self, image: Source, square: Square) -> None:
        """Read ``square`` of ``image`` in a thread: the same object is soon to be asked for."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="kouxing-mesh")
            # Loading takes a while; the picture whose turn it is has the first network until then.
            for _ in range(1, WORKERS):
                self._pool.submit(lambda: self._spare.put(MeshNetwork()))
        self._early.append((image, square, self._pool.submit(self._apart, Picture(image), square)))

    def read(self, picture: Picture, square: Square) -> Float | None:
        """The face in a square of a picture: ``[478, 2] float32`` in picture pixels, or None."""
        for image, begun, told in self._early:
            if image is picture.source and begun == square:
                points, self.solid = told.result()
                return points
        points, self.solid = self._apart(picture, square)
        return points

    def close(self) -> None:
        """Free the networks; it cannot be used afterwards."""
        if self._pool is not None:
            self._pool.shutdown()
        while not self._spare.empty():
            self._spare.get().close()
        self._early.clear()

    def _apart(self, picture: Picture, square: Square) -> tuple[Float | None, Float | None]:
        network = self._spare.get()
        try:
            return read(network, picture, square), network.solid
        finally:
            self._spare.put(network)
