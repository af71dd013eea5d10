"""What the environment decides, read in one place.

============================  ========================================================================================
``KOUXING_THREADS``           CPU threads of the networks; otherwise the cores this process may use
``KOUXING_WEIGHTS``           folders with other weight files than the shipped ones (own training runs), as in ``PATH``
``KOUXING_PROVIDER``          ``cpu``, ``cuda``, ``coreml`` or ``directml``; otherwise the best that is there
``KOUXING_LANDMARKER``        MediaPipe's ``face_landmarker.task`` for ``track``, ``prepare`` and ``serve``
``KOUXING_SIGN_CERTIFICATE``  chain of certificates (PEM) that MP4 outputs are signed with (``media.credentials``)
``KOUXING_SIGN_KEY``          the private key of its first one (PEM)
``KOUXING_TRACEBACK``         ``1`` prints the whole traceback of an unexpected error
============================  ========================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kouxing.errors import OptionError

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Short names -> ONNX Runtime's names, best first."""


@dataclass(frozen=True)
class Config:
    """Settings that hold for the whole process.

    Attributes:
        threads: CPU threads of a network, at least 1.
        weights: folders to look into, in this order, before the shipped weights.
        provider: one of ``PROVIDERS``, or None for the best that is there.
        traceback: print tracebacks of unexpected errors.
        signing: certificates and private key to sign outputs with; None: they are not signed.
    """

    threads: int
    weights: tuple[Path, ...] = ()
    provider: str | None = None
    traceback: bool = False
    signing: tuple[Path, Path] | None = None


def cores() -> int:
    """CPU cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def load(environ: Mapping[str, str] | None = None) -> Config:
    """The settings in ``environ`` (the process's own by default).

    Raises:
        OptionError: a variable holds something it cannot mean.
    """
    env = os.environ if environ is None else environ
    provider = env.get("KOUXING_PROVIDER", "").strip().lower() or None
    if provider is not None and provider not in PROVIDERS:
        raise OptionError(f"KOUXING_PROVIDER is {provider!r}: set it to one of {', '.join(PROVIDERS)}")
    folders = (part.strip() for part in env.get("KOUXING_WEIGHTS", "").split(os.pathsep))
    return Config(
        threads=_threads(env.get("KOUXING_THREADS", "").strip()),
        weights=tuple(Path(folder) for folder in folders if folder),
        provider=provider,
        traceback=env.get("KOUXING_TRACEBACK", "").strip() not in ("", "0"),
        signing=_signing(env.get("KOUXING_SIGN_CERTIFICATE", "").strip(), env.get("KOUXING_SIGN_KEY", "").strip()),
    )


def _signing(certificate: str, key: str) -> tuple[Path, Path] | None:
    if bool(certificate) != bool(key):
        raise OptionError("KOUXING_SIGN_CERTIFICATE and KOUXING_SIGN_KEY go together: set both, or neither")
    return (Path(certificate), Path(key)) if key else None


def _threads(text: str) -> int:
    if not text:
        return cores()
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"KOUXING_THREADS is {text!r}: set it to a whole number of at least 1")
    return int(text)


LIBRARY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def one_thread_a_library() -> None:
    """Keep numpy's and OpenCV's own threads from competing with the pipeline's, which fill the cores by themselves.

    Sets what the user has not set; works only before those libraries are imported. On two cores a dub is up to
    a quarter faster with it (docs/log.md).
    """
    for name in LIBRARY_THREADS:
        os.environ.setdefault(name, "1")
