"""What a text's speaker told of the mouth beside the sound: viseme rows instead of it, or where the lips must touch."""

from __future__ import annotations

import numpy as np

from kouxing.server.faces import MOUTH, OPENING
from kouxing.server.text import touching
from kouxing.types import Float


class Told:
    """Keeps it by row until the rows of the sound are made; false while nothing waits."""

    def __init__(self) -> None:
        self._rows: dict[int, Float] = {}
        self._contact: dict[int, float] = {}

    def __bool__(self) -> bool:
        return bool(self._rows or self._contact)

    def lay(self, first: int, rows: Float | None, contact: Float | None) -> None:
        """A piece begins at row ``first``: its ``rows`` ``[n, 52]`` and ``contact`` ``[n]``, each None if not told."""
        if rows is not None:
            self._rows.update(enumerate(rows, first))
        if contact is not None:
            self._contact.update(enumerate(contact.tolist(), first))

    def clear(self) -> None:
        """Forget all."""
        self._rows.clear()
        self._contact.clear()

    def on(self, values: Float, first: int, mouth: float = 1.0) -> tuple[Float, bool]:
        """Rows of the sound as they were told to be.

        Args:
            values: ``[n, 52]`` from row ``first`` on.
            mouth: how far the session's mouth opens; ``values`` have it already.

        Returns:
            ``[n, 52]``, and whether visemes moved any of them.
        """
        numbers = range(first, first + len(values))
        told = {place: self._rows.pop(number) for place, number in enumerate(numbers) if number in self._rows}
        if told:
            values = values.copy()
            for place, row in told.items():
                values[place, MOUTH] = row[MOUTH]
            places = list(told)
            values[np.ix_(places, OPENING)] = np.clip(values[np.ix_(places, OPENING)] * mouth, 0, 1)
        contact = np.array([self._contact.pop(number, 0.0) for number in numbers], np.float32)
        return touching(values, contact), bool(told)
