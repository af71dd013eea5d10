"""Outputs are written aside and renamed when they are whole, so that nothing half-written is ever left."""

from __future__ import annotations

import errno
import hashlib
import importlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from av.error import FFmpegError
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from kouxing.errors import OutputError

LOCKS: Any = importlib.import_module("fcntl") if os.name == "posix" else None
REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file would be larger than allowed here; choose another folder",
    errno.EACCES: "permission denied; choose a folder that you may write to",
    errno.EPERM: "permission denied; choose a folder that you may write to",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EEXIST: "a file stands where its folder should be; choose another folder",
    errno.ENOTDIR: "a file stands where its folder should be; choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


def part_of(path: Path) -> Path:
    """Where ``path`` is written until it is whole; browsers and others have ``.part`` files of their own."""
    return path.with_name(path.name + ".kouxing.part")


class Part:
    """An output that is being written, in its ``.part`` file. Nobody else writes the same output meanwhile.

    Args:
        out: the output.

    Attributes:
        path: where to write.

    Raises:
        OutputError: ``out`` is a folder, its folder does not exist or may not be written to, or another run writes it.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.path = out, part_of(out)
        try:
            if out.is_dir():
                raise OutputError(f"{out} is a folder; give a file name")
            if not out.parent.is_dir():
                raise OutputError(f"{out} cannot be written: folder {out.parent} does not exist; make it first")
            self._held: int | None = _held(self.path)
        except BlockingIOError:
            raise OutputError(f"{out}: another run is writing it; wait for that one or choose another output") from None
        except (OSError, ValueError) as error:
            raise output_error(out, error) from error

    def finish(self) -> None:
        """Rename it, whole, to the output's name.

        Raises:
            OutputError: that is not possible.
        """
        try:
            settle(self.path)
            os.replace(self.path, self.out)
        except OSError as error:
            self.remove()
            raise output_error(self.out, error) from error
        self._let_go()

    def remove(self) -> None:
        """Remove it, unless it is finished."""
        if self._held is not None:
            remove(self.path)
        self._let_go()

    def _let_go(self) -> None:
        if self._held is not None and self._held >= 0:
            os.close(self._held)
        self._held = None


def _held(part: Path) -> int:
    """The emptied file, locked; what a killed run left goes. Negative: open no more, where files have no locks.

    Raises:
        BlockingIOError: another run holds it.
    """
    while True:
        file = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
        keep = False
        try:
            if not _locked(file):
                os.truncate(part, 0)
                return -1
            with suppress(FileNotFoundError):
                # Whoever held it may have renamed it in between: then it is a finished output.
                keep = os.path.samestat(os.fstat(file), part.stat())
            if keep:
                os.truncate(part, 0)
                return file
        finally:
            if not keep:
                os.close(file)


def _locked(file: int) -> bool:
    """Whether it is locked now; False where files have no locks.

    Raises:
        BlockingIOError: another run holds it.
    """
    if LOCKS is None:
        return False
    try:
        LOCKS.flock(file, LOCKS.LOCK_EX | LOCKS.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def remove(part: Path) -> None:
    """Remove a ``.part``, if it is there."""
    with suppress(OSError, ValueError):
        part.unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Have what was written put on the disk: after a power cut a name shall not stand for less than the whole.

    Raises:
        OSError: there is no room for it.
    """
    with path.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """The ``.part`` file to write to; renamed to ``path`` at the end, removed on any error.

    Raises:
        OutputError: it cannot be written, or another run is writing it.
    """
    part = Part(path)
    try:
        yield part.path
    except (FFmpegError, OSError) as error:
        raise output_error(path, error) from error
    else:
        part.finish()
    finally:
        part.remove()


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Nobody else on this machine makes ``out`` meanwhile.

    The lock lies among temporary files, so that nothing is left beside the output; a killed process gives it back.

    Raises:
        OutputError: somebody does.
    """
    with output_errors(out):
        name = hashlib.sha256(os.fsencode(os.path.realpath(out))).hexdigest()[:16]
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:
        line = "no folder for temporary files can be written; set TMPDIR to one"
        raise OutputError(f"{out} cannot be written: {line}") from None
    # A user's own: nobody can lock with a file that somebody else left.
    place = Path(temporary) / f"kouxing-{getattr(os, 'getuid', int)()}-{name}.lock"
    lock = FileLock(place)
    with output_errors(place):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputError(f"{out}: another job is making it; wait for that one or choose another output") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def reserved(*outs: Path) -> Iterator[None]:
    """Before long work: every output can be written, and nobody else on this machine makes it meanwhile.

    Raises:
        OutputError: one cannot, or somebody does.
    """
    with ExitStack() as stack:
        for out in outs:
            stack.enter_context(alone(out))
            Part(out).remove()
        yield


@contextmanager
def keeping(path: Path, shared: bool = False) -> Iterator[Path]:
    """As ``aside``, for files of the program's own: the folder is made, and the name to write to ends as ``path`` does.

    Args:
        shared: several processes may write it at a time, each to a name of its own; what a killed one leaves, stays.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(f"{path.stem}{f'.{os.getpid()}' if shared else ''}.part{path.suffix}")
    try:
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            os.replace(part, path)
    finally:
        remove(part)


def keep_inputs(out: Path, *given: Path | None) -> None:
    """Refuse to write over what is read, whatever it is called there.

    Raises:
        OutputError: ``out`` is one of the inputs.
    """
    if os.path.exists(out) and any(one is not None and os.path.exists(one) and out.samefile(one) for one in given):
        raise OutputError(f"{out}: is one of the inputs; choose another output")


def is_there(out: Path) -> bool:
    """Whether something has the output's name, be it a link that leads nowhere: it would be replaced all the same.

    Raises:
        OutputError: nothing can have it.
    """
    with output_errors(out):
        try:
            out.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays (``.npz``).

    In memory first: an archive that could not write to a full disk prints a traceback when Python lets go of it.

    Raises:
        OSError: it cannot be written; see ``keeping``.
    """
    made = io.BytesIO()
    np.savez(made, **dict(arrays))
    path.write_bytes(made.getbuffer())


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write ``path`` into one clear line.

    Raises:
        OutputError: disk full, no permission, or any other failure to write.
    """
    try:
        yield
    except OSError as error:
        raise output_error(path, error) from error
    except ValueError as error:
        # Of a name that no system takes; any other is a mistake of the program's.
        if _is_name(path):
            raise
        raise output_error(path, error) from error


def _is_name(path: Path) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def make_folder(path: Path) -> None:
    """Make a folder, and those above it.

    Raises:
        OutputError: that is not possible, or a file stands there.
    """
    with output_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def output_error(path: Path, error: Exception) -> OutputError:
    """What a failed write means to a user."""
    code = getattr(error, "errno", None)
    reason = REASONS.get(code or 0, getattr(error, "strerror", None) or str(error) or type(error).__name__)
    return OutputError(f"{path} cannot be written: {reason}")


def need_space(path: Path, needed: int) -> None:
    """Check that a folder has room.

    Args:
        path: the output. needed: bytes.

    Raises:
        OutputError: less is free.
    """
    with suppress(OSError):
        free = shutil.disk_usage(path.parent).free
        if free < needed:
            raise OutputError(
                f"{path} cannot be written: {needed >> 20} MB needed and {free >> 20} MB free; free some space"
            )
