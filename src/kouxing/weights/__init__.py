"""The one door through which weights enter and leave: ``<name>.onnx`` beside ``<name>.json``, its card.

The card tells what the file is: format version, dimensions, units, the recipe and commit that made it, the data with
their licences, measured figures, and the SHA-256 of the ONNX file. Loading is strict: whatever does not fit its card is
refused. Nothing here unpickles, and nothing here needs PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from kouxing import config
from kouxing.errors import WeightError
from kouxing.weights import graph

if TYPE_CHECKING:
    import onnxruntime

FORMAT_VERSION = 1
"""Raised when an older program could no longer use a newer file rightly."""

SHIPPED = Path(__file__).parent

REQUIRED: dict[str, type] = {
    "format_version": int,
    "dimensions": dict,
    "units": dict,
    "recipe": str,
    "commit": str,
    "data": list,
    "licence": str,
    "figures": dict,
    "sha256": str,
}
"""Keys of every card and their JSON types. ``data`` lists ``{"source", "licence"}``, one per source."""

Card = dict[str, Any]

_checked: dict[Path, tuple[int, int, str]] = {}


def card(name: str, folder: Path | None = None) -> Card:
    """The card of weight ``name``, checked for completeness and version.

    Args:
        name: e.g. ``"speech"``; file names are ``<name>.onnx`` and ``<name>.json``.
        folder: where to look; by default the first of ``KOUXING_WEIGHTS`` that has the file, else the shipped weights.

    Raises:
        WeightError: the card is missing, unreadable, incomplete, or of another format version.
    """
    return _read_card(home(name, folder) / f"{name}.json")


def content(name: str, folder: Path | None = None) -> bytes:
    """The ONNX file of weight ``name``, checked against its card.

    Raises:
        WeightError: missing, damaged or of another version.
    """
    place = home(name, folder)
    told = _read_card(place / f"{name}.json")
    path = place / f"{name}.onnx"
    _check_sum(path, told["sha256"])
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightError(f"weight file {path} cannot be read ({error.strerror}): {_MEND}") from error


def session(
    name: str,
    providers: Sequence[str] | None = None,
    threads: int | None = None,
    folder: Path | None = None,
    tensors: Mapping[str, NDArray[Any]] | None = None,
) -> tuple[onnxruntime.InferenceSession, Card]:
    """A ready ONNX Runtime session of weight ``name``, and its card.

    Args:
        name: as for ``card``.
        providers: ONNX Runtime provider names in order; by default the best of CUDA, CoreML and DirectML that is
            there, with the CPU as fallback.
        threads: CPU threads; by default ``KOUXING_THREADS`` or all cores of the process.
        folder: as for ``card``.
        tensors: other numbers for tensors of the graph, by name, of the same shapes and types (``weights.graph``).

    Raises:
        WeightError: missing, damaged (its SHA-256 differs from the card's), of another version, or not an ONNX model;
            or ``tensors`` do not fit it.
    """
    import onnxruntime

    place = home(name, folder)
    told = _read_card(place / f"{name}.json")
    path = place / f"{name}.onnx"
    _check_sum(path, told["sha256"])
    settings = config.load()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    wanted = list(providers) if providers is not None else _providers(settings.provider)
    model: str | bytes = str(path)
    if tensors:
        try:
            model = graph.replaced(content(name, folder), tensors)
        except ValueError as error:
            raise WeightError(f"{path}: other tensors do not fit it ({error})") from error
    # ONNX Runtime raises its own classes, none of them exported: all derive from Exception and mean "cannot load".
    try:
        return onnxruntime.InferenceSession(model, options, providers=wanted), told
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise WeightError(f"{path} cannot be loaded by ONNX Runtime ({reason}): {_MEND}") from error


def size_mb(name: str, folder: Path | None = None) -> float:
    """Size of a weight file in MB; the file that ``session`` would load.

    Raises:
        WeightError: it is missing.
    """
    path = home(name, folder) / f"{name}.onnx"
    if not path.is_file():
        raise WeightError(f"{path} is missing: install kouxing again, or train it")
    return path.stat().st_size / 1e6


def names(folder: Path | None = None) -> list[str]:
    """Names of the weights in ``folder`` (the shipped ones by default), sorted."""
    return sorted(path.stem for path in (folder or SHIPPED).glob("*.onnx"))


def save(name: str, onnx: bytes, about: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write ``<name>.onnx`` and its card, each aside and then renamed; the ONNX file first.

    Args:
        name: letters, digits, ``-`` and ``_``.
        onnx: a serialised ONNX model that holds all its weights.
        about: the card without ``format_version`` and ``sha256``, which are filled in here.
        folder: where to; the shipped weights by default.

    Returns:
        The ONNX file's path.

    Raises:
        WeightError: the card lacks a key or has one of the wrong type; the folder cannot be written.
    """
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise WeightError(f"weight name {name!r}: use letters, digits, - and _ only")
    place = folder or SHIPPED
    told: Card = {**about, "format_version": FORMAT_VERSION, "sha256": hashlib.sha256(onnx).hexdigest()}
    _check_card(told, f"card of {name!r}")
    path = place / f"{name}.onnx"
    try:
        place.mkdir(parents=True, exist_ok=True)
        _write(path, onnx)
        text = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        _write(path.with_suffix(".json"), text.encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightError(f"{path} cannot be written ({reason}): choose another folder or free some space") from error
    except (TypeError, ValueError) as error:
        raise WeightError(f"card of {name!r} is not JSON ({error}): use numbers, strings, lists and dicts") from error
    _checked.pop(path, None)
    return path


_MEND = "install kouxing again, or make the file anew with its recipe"


def home(name: str, folder: Path | None = None) -> Path:
    """The folder that ``name`` is loaded from; both of its files come from the same one.

    Args:
        name: of the weights.
        folder: where they lie; those of ``KOUXING_WEIGHTS``, else the shipped ones, by default.

    Raises:
        WeightError: ``KOUXING_WEIGHTS`` names what is no folder, or a folder without weights.
    """
    if folder is not None:
        return folder
    for own in config.load().weights:
        if not own.is_dir():
            raise WeightError(f"KOUXING_WEIGHTS names {own}, which is no folder: correct or unset it")
        if (own / f"{name}.json").exists() or (own / f"{name}.onnx").exists():
            return own
        if not any(own.glob("*.onnx")):
            raise WeightError(f"KOUXING_WEIGHTS names {own}, which holds no weights: let its training end, or unset it")
    return SHIPPED


def _read_card(path: Path) -> Card:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightError(f"weight card {path} is missing: {_MEND}") from error
    except (OSError, ValueError) as error:
        raise WeightError(f"weight card {path} cannot be read as JSON: {_MEND}") from error
    if not isinstance(told, dict):
        raise WeightError(f"weight card {path} is not a JSON object: {_MEND}")
    _check_card(told, str(path))
    return told


def _check_card(told: Card, where: str) -> None:
    version = told.get("format_version")
    if version != FORMAT_VERSION:
        raise WeightError(
            f"{where} has format version {version!r}, this program needs {FORMAT_VERSION}: "
            "use the weights and the program of one release"
        )
    for key, kind in REQUIRED.items():
        if not isinstance(told.get(key), kind):
            raise WeightError(f"{where} has no {key!r} ({kind.__name__}): {_MEND}")
    for source in told["data"]:
        if not isinstance(source, dict) or not {"source", "licence"} <= source.keys():
            raise WeightError(f"{where} lists data without 'source' and 'licence': {_MEND}")


def _check_sum(path: Path, wanted: str) -> None:
    """Compare the file's SHA-256 with the card's, once per process as long as size and time stay the same."""
    try:
        state = path.stat()
        stamp = (state.st_size, state.st_mtime_ns, wanted)
        if _checked.get(path) == stamp:
            return
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except FileNotFoundError as error:
        raise WeightError(f"weight file {path} is missing: {_MEND}") from error
    except OSError as error:
        raise WeightError(f"weight file {path} cannot be read ({error.strerror}): {_MEND}") from error
    if digest.hexdigest() != wanted:
        raise WeightError(f"weight file {path} is damaged (its SHA-256 differs from its card): {_MEND}")
    _checked[path] = stamp


def _providers(choice: str | None) -> list[str]:
    """ONNX Runtime's provider names, best first, the CPU always last."""
    import onnxruntime

    there = set(onnxruntime.get_available_providers())
    cpu = config.PROVIDERS["cpu"]
    if choice is None:
        return [*(name for name in config.PROVIDERS.values() if name in there and name != cpu), cpu]
    wanted = config.PROVIDERS[choice]
    if wanted not in there:
        raise WeightError(f"KOUXING_PROVIDER={choice} is not in this ONNX Runtime: install the package that has it")
    return [wanted] if wanted == cpu else [wanted, cpu]


def _write(path: Path, content: bytes) -> None:
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
