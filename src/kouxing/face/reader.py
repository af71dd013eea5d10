"""Squares read by the mesh network, those of the next pictures already while the present one is looked at."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
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
Told = tuple["Float | None", "Float | None"]


@dataclass
class _Coming:
    """A picture before its turn, and its square as far as that is being read."""

    image: Source
    square: Square | None = None
    told: Future[Told] | None = None

    def give_up(self) -> None:
        """What nobody wants any more keeps no worker busy, if none has begun it."""
        if self.told is not None:
            self.told.cancel()
        self.square, self.told = None, None


class Reader:
    """Reads squares; ``begin`` and ``read`` belong to one thread.

    A square is read ahead in the hope that the face stays in it, as it does in most pictures. Where it does not, the
    work was for nothing; what ``read`` gives is the same either way. As many pictures are begun as the square has
    lasted, so that little is read in vain of a head that moves.

    Attributes:
        solid: as ``MeshNetwork.solid``, of what ``read`` gave last.
    """

    def __init__(self) -> None:
        self.solid: Float | None = None
        self._spare: SimpleQueue[MeshNetwork] = SimpleQueue()
        self._spare.put(MeshNetwork())
        self._pool: ThreadPoolExecutor | None = None
        self._coming: deque[_Coming] = deque(maxlen=1 + AHEAD)
        self._square: Square | None = None
        self._lasted = 0

    def begin(self, image: Source, square: Square) -> None:
        """Read ``square`` of ``image`` in a thread: the same object is soon to be asked for."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="kouxing-mesh")
            # Loading takes a while; the picture whose turn it is has the first network until then.
            for _ in range(1, WORKERS):
                self._pool.submit(lambda: self._spare.put(MeshNetwork()))
        self._lasted = self._lasted + 1 if square == self._square else 1
        self._square = square
        self._coming.append(_Coming(image))
        for place, one in enumerate(self._coming):
            if one.square != square:
                one.give_up()
                if place < self._lasted:
                    one.square, one.told = square, self._pool.submit(self._apart, Picture(one.image), square)

    def read(self, picture: Picture, square: Square) -> Float | None:
        """The face in a square of a picture: ``[478, 2] float32`` in picture pixels, or None."""
        begun = self._begun(picture.source)
        if begun is not None and begun.told is not None and begun.square == square:
            points, self.solid = begun.told.result()
            return points
        if begun is not None:
            begun.give_up()
        points, self.solid = self._apart(picture, square)
        return points

    def close(self) -> None:
        """Free the networks; it cannot be used afterwards."""
        for one in self._coming:
            one.give_up()
        if self._pool is not None:
            self._pool.shutdown()
        while not self._spare.empty():
            self._spare.get().close()
        self._coming.clear()

    def _begun(self, image: Source) -> _Coming | None:
        """The picture whose turn it is, if it was announced; it and those before it are not to come any more."""
        if not any(one.image is image for one in self._coming):
            return None
        while (one := self._coming.popleft()).image is not image:
            one.give_up()
        return one

    def _apart(self, picture: Picture, square: Square) -> Told:
        network = self._spare.get()
        try:
            return read(network, picture, square), network.solid
        finally:
            self._spare.put(network)
