"""A ``.kx`` file: the ``lips`` network as ``fit`` changed it for one person. Numbers and a card, nothing that runs.

A ZIP of two members, both stored without compression: ``card.json`` and ``tensors.safetensors``. The tensors are those
that the shipped graphs of the preset hold, under their names there with the stage before them (``frame/…``,
``references/…``); the graphs themselves are always the shipped ones. How the person moves the mouth to their own voice
may lie beside them (``infer.manner``). Whatever does not fit exactly is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing import weights
from kouxing.audio.file_ear import NAMES as EARS
from kouxing.audio.front import NAME as FRONT
from kouxing.errors import OptionError, OutputError, WeightError
from kouxing.infer.manner import SHAPE
from kouxing.infer.order import PRESETS
from kouxing.weights import graph

Tensors = dict[str, NDArray[Any]]

SUFFIX = ".kx"
KIND, FORMAT = "kouxing person", 1
CARD, TENSORS = "card.json", "tensors.safetensors"
LARGEST = {CARD: 1 << 16, TENSORS: 64 << 20}
"""Bytes; the largest network has a fifth of it."""
LARGEST_HEADER = 1 << 18
STAGES = ("references", "frame")
MANNER = "manner/weights"
"""Name of the correction of what is heard (``infer.manner``); not everybody needs one."""
SHARPENING, MOST_SHARPENING = "sharpening", 3.0
"""Name in the card: what painted mouths are to be sharpened by (``infer.crispness``), where ``fit`` measured it."""
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
_HOW = "make it anew with `kouxing fit`"


@dataclass(frozen=True)
class Person:
    """What ``fit`` made of one person's footage.

    Attributes:
        preset: which network.
        tensors: ``stage/name`` -> numbers.
        card: what it is, JSON values: kind, format, preset, dimensions, figures and how it was made.
        sha256: of the tensors' bytes.
    """

    preset: str
    tensors: Tensors
    card: dict[str, Any]
    sha256: str

    @property
    def manner(self) -> NDArray[Any] | None:
        """The correction of what is heard in the person's own voice, where there is one and it is of today's ears."""
        return None if self.deaf else self.tensors.get(MANNER)

    @property
    def deaf(self) -> bool:
        """Whether its correction is of what other weights heard: of no use any more."""
        return MANNER in self.tensors and self.card.get("ears") != ears()

    @property
    def sharpening(self) -> float | None:
        """What painted mouths are to be sharpened by, where ``fit`` measured it."""
        told = self.card.get(SHARPENING)
        return None if told is None else float(told)

    def stage(self, name: str) -> Tensors:
        """Tensors of one stage by their names in its graph."""
        prefix = f"{name}/"
        return {key[len(prefix) :]: value for key, value in self.tensors.items() if key.startswith(prefix)}


def ears() -> dict[str, str]:
    """What dubs are heard with: weights and their SHA-256."""
    return {name: str(weights.card(name)["sha256"]) for name in (FRONT, *EARS)}


def load(path: Path) -> Person:
    """Read a ``.kx`` file and check it, also against the shipped network of its preset.

    Raises:
        WeightError: it is missing, damaged, none, or made for another network.
    """
    card_bytes, tensor_bytes = _members(path)
    card = _card(path, card_bytes)
    digest = hashlib.sha256(tensor_bytes).hexdigest()
    if card["sha256"] != digest:
        raise WeightError(f"{path}: is damaged (its checksum differs); {_HOW}")
    try:
        tensors = read_tensors(tensor_bytes)
    except ValueError as error:
        raise WeightError(f"{path}: is no whole person file ({error}); {_HOW}") from error
    _check_fit(path, card, tensors)
    return Person(card["preset"], tensors, card, digest)


def save(path: Path, preset: str, tensors: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> Person:
    """Write a ``.kx`` file, aside and then renamed.

    Args:
        path: where to.
        preset: which network.
        tensors: ``stage/name`` -> numbers, all of both stages.
        about: JSON values for the card: ``dimensions`` and whatever tells how it was made.

    Raises:
        OutputError: it cannot be written.
        WeightError: the tensors do not fit the network.
    """
    raw = write_tensors(tensors)
    digest = hashlib.sha256(raw).hexdigest()
    card = {"ears": ears(), **about, "kind": KIND, "format": FORMAT, "preset": preset, "sha256": digest}
    _check_fit(path, card, dict(tensors))
    try:
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as whole:
                for name, content in ((CARD, json.dumps(card, indent=2, ensure_ascii=False).encode()), (TENSORS, raw)):
                    # One fixed date: the same person gives the same file.
                    whole.writestr(zipfile.ZipInfo(name), content)
            Path(aside).chmod(0o644)
            os.replace(aside, path)
        finally:
            Path(aside).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
    return Person(preset, dict(tensors), card, digest)


def check_preset(path: Path, person: Person, preset: str) -> None:
    """Refuse a person of another network than the one asked for.

    Raises:
        OptionError: the presets differ.
    """
    if person.preset != preset:
        raise OptionError(f"--person {path}: was fitted for --preset {person.preset}, not {preset}; give that preset")


def shipped_tensors(preset: str, stage: str) -> dict[str, graph.Stored]:
    """What a stage's graph holds.

    Raises:
        WeightError: the weights are missing or damaged.
    """
    return graph.stored(weights.content(f"lips_{preset}_{stage}"))


def _members(path: Path) -> tuple[bytes, bytes]:
    """Both members' bytes, never more than ``LARGEST``."""
    try:
        if path.stat().st_size > 2 * sum(LARGEST.values()):
            raise WeightError(f"{path}: is too large for a person file; {_HOW}")
        with zipfile.ZipFile(path) as whole:
            rows = {row.filename: row for row in whole.infolist()}
            if len(rows) != len(whole.infolist()) or set(rows) != set(LARGEST):
                raise WeightError(f"{path}: is no person file (holds {len(rows)} members); {_HOW}")
            for name, row in rows.items():
                # Stored members are as long as they say: nothing can swell while it is read.
                if row.compress_type != zipfile.ZIP_STORED or row.flag_bits & 1 or row.file_size > LARGEST[name]:
                    raise WeightError(f"{path}: its {name} is packed or too large; {_HOW}")
            return whole.read(CARD), whole.read(TENSORS)
    except FileNotFoundError:
        raise WeightError(f"{path}: no such file; {_HOW.replace('it anew', 'one')}") from None
    except OSError as error:
        raise WeightError(f"{path}: cannot be read ({error.strerror or error}); {_HOW}") from error
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        raise WeightError(f"{path}: is no person file or damaged ({error}); {_HOW}") from error


def _card(path: Path, content: bytes) -> dict[str, Any]:
    try:
        card = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise WeightError(f"{path}: its card is no JSON; {_HOW}") from error
    if not isinstance(card, dict) or card.get("kind") != KIND:
        raise WeightError(f"{path}: is no person file (no {KIND!r} in its card); {_HOW}")
    if card.get("format") != FORMAT:
        raise WeightError(f"{path}: has format {card.get('format')!r}, this program reads {FORMAT}; {_HOW}")
    if card.get("preset") not in PRESETS or not isinstance(card.get("sha256"), str):
        raise WeightError(f"{path}: its card names no preset of {', '.join(PRESETS)}; {_HOW}")
    told = card.get(SHARPENING, 0)
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told <= MOST_SHARPENING:
        raise WeightError(f"{path}: its card tells {SHARPENING} {str(told)[:20]!r}; {_HOW}")
    return card


def _check_fit(path: Path, card: Mapping[str, Any], tensors: Tensors) -> None:
    """Refuse tensors that are not exactly those of the shipped network."""
    preset = card["preset"]
    if card.get("dimensions") != weights.card(f"lips_{preset}_frame")["dimensions"]:
        raise WeightError(f"{path}: was fitted for a {preset} network of another size; {_HOW}")
    wanted = {f"{stage}/{name}": row for stage in STAGES for name, row in shipped_tensors(preset, stage).items()}
    if set(wanted) != set(tensors) - {MANNER}:
        raise WeightError(f"{path}: does not hold the tensors of this program's {preset} network; {_HOW}")
    expected = {name: (row.dtype, tuple(row.shape)) for name, row in wanted.items()}
    expected[MANNER] = np.dtype(np.float32), SHAPE
    for name, value in tensors.items():
        if (value.dtype, value.shape) != expected[name]:
            raise WeightError(f"{path}: tensor {name} is {value.dtype} {list(value.shape)}; {_HOW}")
        if not np.isfinite(value).all():
            raise WeightError(f"{path}: tensor {name} is not finite; {_HOW}")


def write_tensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """The safetensors format: header's length (u64), header (JSON), numbers."""
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    place = 0
    names = {dtype: name for name, dtype in DTYPES.items()}
    for name, value in sorted(tensors.items()):
        raw = np.ascontiguousarray(value).tobytes()
        header[name] = {
            "dtype": names[value.dtype], "shape": list(value.shape), "data_offsets": [place, place + len(raw)]
        }  # fmt: skip
        parts.append(raw)
        place += len(raw)
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    return b"".join([len(told).to_bytes(8, "little"), told, *parts])


def read_tensors(content: bytes) -> Tensors:
    """What ``write_tensors`` wrote: float tensors, one after the other without gaps.

    Raises:
        ValueError: anything else.
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 0 < size <= min(LARGEST_HEADER, len(content) - 8):
        raise ValueError("header of a wrong length")
    try:
        header = json.loads(content[8 : 8 + size])
    except (ValueError, RecursionError) as error:
        raise ValueError("header is no JSON") from error
    if not isinstance(header, dict):
        raise ValueError("header is no object")
    header.pop("__metadata__", None)
    rows = [_row(name, told) for name, told in header.items()]
    body = content[8 + size :]
    tensors: Tensors = {}
    place = 0
    for first, last, name, dtype, shape in sorted(rows):
        if first != place or last - first != math.prod(shape) * DTYPES[dtype].itemsize or last > len(body):
            raise ValueError(f"tensor {name!r} lies at a wrong place")
        tensors[name] = np.frombuffer(body[first:last], DTYPES[dtype]).reshape(shape)
        place = last
    if place != len(body):
        raise ValueError("bytes that belong to no tensor")
    return tensors


def _row(name: Any, told: Any) -> tuple[int, int, str, str, tuple[int, ...]]:
    try:
        (first, last), shape, dtype = told["data_offsets"], told["shape"], told["dtype"]
        whole = [first, last, *shape]
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"tensor {name!r} is not described") from error
    if (
        not isinstance(dtype, str)
        or dtype not in DTYPES
        or not all(type(one) is int and 0 <= one <= LARGEST[TENSORS] for one in whole)
    ):
        raise ValueError(f"tensor {name!r} has a type or shape that is not used")
    if len(shape) > 8:
        raise ValueError(f"tensor {name!r} has too many sides")
    return first, last, str(name), dtype, tuple(shape)
