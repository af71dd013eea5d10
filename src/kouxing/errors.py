"""A user's mistakes: what is wrong, where, and what to do. The CLI prints them in one line and exits with 2."""

import zlib
from tokenize import TokenError
from zipfile import BadZipFile

NO_ARRAYS: tuple[type[Exception], ...] = (
    OSError, KeyError, ValueError, TypeError, EOFError, BadZipFile, TokenError, zlib.error
)  # fmt: skip
"""What reading arrays from a file raises where it is missing, damaged, or holds something else."""


class KouxingError(Exception):
    """Base of all errors that a user can mend. ``str(error)`` is one line."""


class MediaError(KouxingError):
    """A file cannot be read or written as the medium that is needed."""


class NoVideoError(MediaError):
    """The file has no picture."""


class NoSoundError(MediaError):
    """The file has no sound, or sound of 0 s."""


class NoFaceError(KouxingError):
    """No face was found, or not the one that was asked for."""


class UnsureError(KouxingError):
    """What was asked cannot be told surely enough from what is there."""


class OutputError(KouxingError):
    """The output cannot be written where it was asked for."""


class WeightError(KouxingError):
    """A weight file is missing, damaged, or of another version."""


class DataError(KouxingError):
    """A manifest, track or other training data is not as it should be."""


class OptionError(KouxingError):
    """An option's value is out of range or contradicts another one."""
