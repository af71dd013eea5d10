"""Content Credentials (C2PA): an MP4 signed with the user's own key tells who made it, and that a model did.

Nothing is signed unless ``KOUXING_SIGN_CERTIFICATE`` and ``KOUXING_SIGN_KEY`` name PEM files: the chain of
certificates, the signer's first, and its private key. Nothing is asked of the network, so no authority states the time.
"""

from __future__ import annotations

import importlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from kouxing import config
from kouxing.errors import OptionError, OutputError
from kouxing.media.metadata import COMPOSITE, SOURCE_TYPES

CERTIFICATE, KEY = "KOUXING_SIGN_CERTIFICATE", "KOUXING_SIGN_KEY"
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""Elliptic curves that C2PA signs with -> its names of the algorithms."""
RSA, ED25519 = "ps256", "ed25519"
SETTINGS = {
    # Pictures are hashed in pieces: as a whole they would be read into memory, and so would what is made of them.
    "core": {"merkle_tree_chunk_size_in_kb": 1024, "backing_store_memory_threshold_in_mb": 16},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


def check() -> None:
    """Whether files can be signed, where that is wanted, before any other work: a tiny picture is.

    Raises:
        OptionError: c2pa-python is missing, a file cannot be read, or certificate and key do not fit.
    """
    if config.load().signing is None:
        return
    signer, library = _signer()
    _, picture = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))
    try:
        _sign(library, signer, "image/jpeg", io.BytesIO(picture.tobytes()), io.BytesIO(), "check", COMPOSITE)
    except library.C2paError as error:
        raise OptionError(
            f"{CERTIFICATE} and {KEY} sign nothing ({_line(error)}); give a certificate for documents or e-mail "
            "with its chain, and its key"
        ) from error


def sign(path: Path, kind: str, title: str) -> None:
    """Sign an MP4 where it lies, if that is wanted.

    Args:
        path: the file.
        kind: last word of the IPTC digital source type (``media.metadata``).
        title: name of the file as users know it.

    Raises:
        OutputError: it cannot be signed. OSError: it cannot be written.
    """
    if config.load().signing is None:
        return
    try:
        signer, library = _signer()
    except OptionError as error:
        # The key was there when work began: what has been done since is kept, and goes on when it is back.
        raise OutputError(f"{title}: cannot be signed: {error}") from error
    # Into a file without a name, and back: the file keeps its lock, and a killed run leaves nothing more.
    with tempfile.TemporaryFile(dir=path.parent) as made, open(path, "r+b") as file:
        try:
            _sign(library, signer, "video/mp4", file, made, title, kind)
        except library.C2paError as error:
            raise OutputError(f"{title}: cannot be signed ({_line(error)})") from error
        made.seek(0)
        file.seek(0)
        shutil.copyfileobj(made, file)
        file.truncate()


def _signer() -> tuple[Any, Any]:
    """Whoever signs, and the library that it is of."""
    signing = config.load().signing
    assert signing is not None
    try:
        library = importlib.import_module("c2pa")
    except (ImportError, RuntimeError, OSError) as error:
        raise OptionError(
            f"{CERTIFICATE} is set, and signing needs c2pa-python ({_line(error)}); pip install 'kouxing[sign]'"
        ) from error
    chain, key = (_read(place, name) for place, name in zip(signing, (CERTIFICATE, KEY), strict=True))
    algorithm, plain = _loaded(key, signing[1])
    info = library.C2paSignerInfo(alg=algorithm, sign_cert=chain, private_key=plain, ta_url=None)
    try:
        return library.Signer.from_info(info), library
    except library.C2paError as error:
        raise OptionError(
            f"{CERTIFICATE} {signing[0]} does not go with {KEY} ({_line(error)}); give its chain in PEM, and its key"
        ) from error


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OptionError(f"{name} {path}: cannot be read ({error.strerror}); give a PEM file") from error


def _loaded(key: bytes, path: Path) -> tuple[str, bytes]:
    """C2PA's name of what a private key signs with, and the key as C2PA reads it (PKCS #8)."""
    serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
    unknown = importlib.import_module("cryptography.exceptions").UnsupportedAlgorithm
    try:
        loaded = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, unknown) as error:
        raise OptionError(f"{KEY} {path}: no private key in PEM without a password ({_line(error)})") from error
    curve = getattr(getattr(loaded, "curve", None), "name", None)
    name = type(loaded).__name__
    found = CURVES.get(curve or "") or (RSA if "RSA" in name else ED25519 if "Ed25519" in name else None)
    if found is None:
        raise OptionError(
            f"{KEY} {path}: C2PA signs with RSA, Ed25519 or the curves P-256, P-384, P-521; make such a key"
        )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return found, loaded.private_bytes(*form)


def _sign(library: Any, signer: Any, what: str, source: BinaryIO, made: BinaryIO, title: str, kind: str) -> None:
    from kouxing import __version__

    maker = {"name": "kouxing", "version": __version__}
    action = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPES + kind, "softwareAgent": maker}
    told = {
        "claim_generator_info": [maker],
        # A file name may hold what no UTF-8 can.
        "title": title.encode("utf-8", "replace").decode(),
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    context = library.Context(settings=library.Settings.from_dict(SETTINGS))
    library.Builder(json.dumps(told), context=context).sign(signer, what, source, made)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
