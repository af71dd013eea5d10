"""A long job's folder ``<out>.job``: what is done is kept there, so that a killed job goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import NO_ARRAYS, MediaError, OptionError, OutputError
from kouxing.media.aside import keeping, output_errors, settle, write_arrays
from kouxing.media.boxes import is_whole
from kouxing.media.opening import check_file

PLAN = "plan.json"
MADE = "made.json"
"""Size and hash of the output, written just before it gets its name."""
FORMAT = 4
"""Layout of the folder; a job of another version is not resumed."""

SAMPLED_BYTES = 1 << 20
"""Of each input so much is hashed at its beginning and at its end: an hour of video is not read twice."""

SUFFIX = ".job"


def fingerprint(path: Path) -> dict[str, Any]:
    """What tells one input file from another: path, size, time of change, hash of its first and last MB.

    Raises:
        MediaError: the file cannot be read, or is none.
    """
    check_file(path)
    try:
        stat = path.stat()
        digest = hashlib.sha256()
        with path.open("rb") as file:
            digest.update(file.read(SAMPLED_BYTES))
            file.seek(max(stat.st_size - SAMPLED_BYTES, 0))
            digest.update(file.read(SAMPLED_BYTES))
    except FileNotFoundError:
        raise MediaError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise MediaError(f"{path}: is a folder, give a file") from None
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return {
        "path": str(path.resolve()),
        "bytes": stat.st_size,
        "changed_ns": stat.st_mtime_ns,
        "sha256": digest.hexdigest(),
    }


def _damaged(piece: Path) -> bool:
    """Whether a kept piece cannot be read."""
    try:
        if piece.suffix == ".npz":
            with np.load(piece, allow_pickle=False) as file:
                for name in file.files:
                    file[name]
        elif piece.suffix == ".json":
            json.loads(piece.read_text("utf-8"))
        elif piece.suffix == ".mp4":
            return not is_whole(piece)
    except NO_ARRAYS:
        return True
    return False


def _content(path: Path) -> dict[str, Any]:
    told = fingerprint(path)
    return {name: told[name] for name in ("bytes", "sha256")}


class Job:
    """The folder of one job. Every file in it is written aside first: what has its name is whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, out: Path, plan: Mapping[str, Any], resume: bool) -> Job:
        """Start a job for ``out``, or go on with the one that stopped.

        Args:
            out: the job's output; the folder lies beside it.
            plan: inputs and options (JSON values). Only a job with the same plan goes on.
            resume: False replaces a folder that is there.

        Raises:
            OptionError: the folder's plan is another one.
            OutputError: the folder cannot be written.
        """
        job = cls(out.with_name(out.name + SUFFIX))
        wanted = json.loads(json.dumps({"format": FORMAT, **plan}))
        if resume and job.folder.is_dir():
            job._check(wanted)
            job._sweep()
            return job
        with output_errors(job.folder):
            if job.folder.is_dir():
                if not (job.folder / PLAN).is_file() and any(job.folder.iterdir()):
                    raise OutputError(f"{job.folder}: is in the way and not an unfinished job; move it")
                shutil.rmtree(job.folder)
            job.folder.mkdir()
        job.save_json(PLAN, wanted)
        return job

    def _check(self, wanted: dict[str, Any]) -> None:
        try:
            found = json.loads((self.folder / PLAN).read_text("utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"{PLAN} is no object")
        except (OSError, ValueError):
            raise OptionError(f"{self.folder}: the unfinished job is damaged; start anew without --resume") from None
        keys = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
        if keys:
            raise OptionError(
                f"{self.folder}: the unfinished job differs in {', '.join(keys)}; start anew without --resume"
            )

    def _sweep(self) -> None:
        """What a kill or a power cut left of unfinished pieces goes; they are made again."""
        for left in self.folder.iterdir():
            if left.is_file() and (".part" in left.name or _damaged(left)):
                left.unlink(missing_ok=True)

    def place(self, name: str) -> Path:
        """Where ``name`` lies in the folder."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether ``name`` is there, whole."""
        return self.place(name).is_file()

    @contextmanager
    def aside(self, name: str) -> Iterator[Path]:
        """Give a path to write to; without an error the file then gets its name, else it is removed.

        Raises:
            OutputError: the disk is full or the folder not writable.
        """
        with keeping(self.place(name)) as part:
            yield part
            settle(part)

    def save_json(self, name: str, value: Any) -> None:
        """Write ``value`` as JSON."""
        with self.aside(name) as part:
            part.write_text(json.dumps(value, indent=1), "utf-8")

    def load_json(self, name: str) -> Any:
        """Read what ``save_json`` wrote."""
        return json.loads(self.place(name).read_text("utf-8"))

    def save_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write named arrays (``.npz``)."""
        with self.aside(name) as part:
            write_arrays(part, arrays)

    def load_arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Read what ``save_arrays`` wrote."""
        with np.load(self.place(name), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    def tell_made(self, joined: Path) -> None:
        """Keep what the output is, before ``joined`` becomes it."""
        self.save_json(MADE, _content(joined))

    @classmethod
    def made(cls, out: Path) -> bool:
        """Whether ``out`` is what an unfinished job made: it was killed after that had its name."""
        place = out.with_name(out.name + SUFFIX) / MADE
        if not (out.is_file() and place.is_file()):
            return False
        try:
            return bool(json.loads(place.read_text("utf-8")) == _content(out))
        except (OSError, ValueError, MediaError):
            return False

    def remove(self) -> None:
        """The job is done, or there is nothing worth keeping: remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
