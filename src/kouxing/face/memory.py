"""What a tracker remembers, as plain arrays that a file can keep, and back: exact to the last bit, without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing.face.cast import Person
from kouxing.face.look import Looks
from kouxing.face.shots import Shots
from kouxing.face.square import Square

KINDS: dict[str, type] = {kind.__name__: kind for kind in (Person, Looks, Shots, Square)}
TREE = "tree"
"""Name of the array that holds everything but the arrays, as JSON."""


def kept(value: Any) -> dict[str, NDArray[Any]]:
    """Numbers, strings, None, lists, dicts, arrays and the objects of ``KINDS``, nested, as named arrays."""
    arrays: dict[str, NDArray[Any]] = {}
    tree = _flat(value, arrays)
    return {**arrays, TREE: np.array(json.dumps(tree))}


def brought_back(arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The value that ``kept`` was given.

    Raises:
        ValueError: the arrays are not from ``kept``.
    """
    try:
        return _whole(json.loads(str(arrays[TREE])), arrays)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a kept state: {error!r}") from error


def _flat(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        # Numbers of numpy keep their type, for it decides how they are rounded later on.
        name = f"array{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"array": name, "number": isinstance(value, np.generic)}
    if isinstance(value, list):
        return [_flat(item, arrays) for item in value]
    if isinstance(value, dict):
        return {"dict": {key: _flat(item, arrays) for key, item in value.items()}}
    name = type(value).__name__
    if KINDS.get(name) is not type(value):
        raise TypeError(f"{name} cannot be kept")
    return {"kind": name, "of": {key: _flat(item, arrays) for key, item in vars(value).items()}}


def _whole(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(tree, list):
        return [_whole(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[tree["array"]][()] if tree["number"] else arrays[tree["array"]]
    if "dict" in tree:
        return {key: _whole(item, arrays) for key, item in tree["dict"].items()}
    made: Any = object.__new__(KINDS[tree["kind"]])
    for key, item in tree["of"].items():
        # Also frozen ones: this is how they come to be, not a change.
        object.__setattr__(made, key, _whole(item, arrays))
    return made
