"""Content Credentials: outputs are signed where a key is given, and a key that does not fit is told before any work."""

from __future__ import annotations

import datetime
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_media import make_sound, make_video
from infer.fake_parts import fake_parts
from kouxing.errors import OptionError, OutputError
from kouxing.infer.dub import dub
from kouxing.media import credentials
from kouxing.media.join import join
from kouxing.media.metadata import ALL_MADE, SOURCE_TYPES, read_mark
from kouxing.media.reader import read_video

c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed")
x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

DAY = datetime.timedelta(days=1)
PURPOSE = x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION
KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


def name(who: str) -> x509.Name:
    kind = x509.oid.NameOID
    return x509.Name([x509.NameAttribute(kind.ORGANIZATION_NAME, "tests"), x509.NameAttribute(kind.COMMON_NAME, who)])


def certificate(who: str, key, issuer: str, by, days: int, root: bool) -> x509.Certificate:
    now = datetime.datetime.now(datetime.timezone.utc)
    plain = [not root, False, False, False, False, root, root, False, False]
    made = (
        x509.CertificateBuilder()
        .subject_name(name(who)).issuer_name(name(issuer)).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 100 * DAY).not_valid_after(now + days * DAY)
        .add_extension(x509.BasicConstraints(root, None), True)
        .add_extension(x509.KeyUsage(*plain), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
    )  # fmt: skip
    if not root:
        made = made.add_extension(x509.ExtendedKeyUsage([PURPOSE]), False)
    return made.sign(by, hashes.SHA256())


def written(key, lock=None) -> bytes:
    """In PEM."""
    lock = lock or serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


@pytest.fixture
def issue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a certificate and key of some kind, and says in the environment that outputs are signed with them."""

    def make(kind: str = "P-256", days: int = 100) -> None:
        root, key = KEYS["P-256"](), KEYS[kind]()
        chain = [
            certificate("signer", key, "root", root, days, False),
            certificate("root", root, "root", root, 100, True),
        ]
        pem = serialization.Encoding.PEM
        (tmp_path / "chain.pem").write_bytes(b"".join(one.public_bytes(pem) for one in chain))
        plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (tmp_path / "key.pem").write_bytes(key.private_bytes(pem, *plain))
        monkeypatch.setenv(credentials.CERTIFICATE, str(tmp_path / "chain.pem"))
        monkeypatch.setenv(credentials.KEY, str(tmp_path / "key.pem"))

    return make


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    make_video(path, frames=10, size=(64, 48))
    return path


def manifest(path: Path) -> tuple[str, dict]:
    with c2pa.Reader(path) as reader:
        told = json.loads(reader.json())
        return reader.get_validation_state(), told["manifests"][told["active_manifest"]]


@pytest.mark.parametrize("kind", KEYS)
def test_what_is_marked_is_signed(kind: str, issue, clip: Path, tmp_path: Path) -> None:
    issue(kind)
    credentials.check()
    out = tmp_path / "out.mp4"
    join([clip], out, mark=ALL_MADE, title="shown.mp4")
    state, told = manifest(out)
    # "Trusted" would take a root that everybody knows.
    assert state == "Valid" and told["title"] == "shown.mp4" and told["signature_info"]["common_name"] == "signer"
    (actions,) = (one["data"]["actions"] for one in told["assertions"] if one["label"].startswith("c2pa.actions"))
    assert actions[0]["digitalSourceType"] == SOURCE_TYPES + ALL_MADE == read_mark(out)
    # In pieces, so that hours of video are not read into memory.
    (hashed,) = (one["data"] for one in told["assertions"] if one["label"].startswith("c2pa.hash.bmff"))
    assert hashed["merkle"][0]["count"] >= 1
    before, after = (np.stack([frame.planes[0] for frame in read_video(path)]) for path in (clip, out))
    assert np.array_equal(before, after)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_a_changed_picture_breaks_the_signature(issue, clip: Path, tmp_path: Path) -> None:
    issue()
    out = tmp_path / "out.mp4"
    join([clip], out, mark=True)
    data = bytearray(out.read_bytes())
    place = data.index(b"mdat") + 60
    data[place] ^= 0xFF
    out.write_bytes(data)
    assert manifest(out)[0] == "Invalid"


def test_without_a_key_nothing_is_signed(clip: Path, tmp_path: Path) -> None:
    credentials.check()
    join([clip], tmp_path / "out.mp4", mark=True)
    with pytest.raises(c2pa.C2paError, match="ManifestNotFound"):
        manifest(tmp_path / "out.mp4")


def test_what_is_not_marked_is_not_signed(issue, clip: Path, tmp_path: Path) -> None:
    issue()
    join([clip], tmp_path / "out.mp4")
    with pytest.raises(c2pa.C2paError, match="ManifestNotFound"):
        manifest(tmp_path / "out.mp4")


def test_a_key_that_does_not_fit_is_told_first(issue, tmp_path: Path) -> None:
    issue(days=-1)
    with pytest.raises(OptionError, match=f"{credentials.CERTIFICATE}.*not valid"):
        credentials.check()
    issue()
    (tmp_path / "key.pem").write_bytes(written(KEYS["P-256"]()))
    with pytest.raises(OptionError, match=f"{credentials.KEY} sign nothing"):
        credentials.check()
    for what, name in (("key.pem", credentials.KEY), ("chain.pem", credentials.CERTIFICATE)):
        issue()
        (tmp_path / what).write_text("nothing of the kind")
        with pytest.raises(OptionError, match=name):
            credentials.check()
        (tmp_path / what).unlink()
        with pytest.raises(OptionError, match=f"{name} .*{what}: cannot be read"):
            credentials.check()


def test_keys_that_c2pa_does_not_know(issue, tmp_path: Path) -> None:
    issue()
    (tmp_path / "key.pem").write_bytes(written(ec.generate_private_key(ec.SECP256K1())))
    with pytest.raises(OptionError, match="P-256, P-384, P-521"):
        credentials.check()
    locked = serialization.BestAvailableEncryption(b"secret")
    (tmp_path / "key.pem").write_bytes(written(KEYS["P-256"](), locked))
    with pytest.raises(OptionError, match="without a password"):
        credentials.check()


def test_a_file_that_cannot_be_signed_stays_away(issue, clip: Path, tmp_path: Path) -> None:
    issue(days=-1)
    with pytest.raises(OutputError, match=r"out\.mp4: cannot be signed"):
        join([clip], tmp_path / "out.mp4", mark=True, seconds=Fraction(1))
    assert not (tmp_path / "out.mp4").exists() and not list(tmp_path.glob("*part*"))


def test_dubs_ask_before_they_begin(issue, tmp_path: Path, clip: Path) -> None:
    issue()
    (tmp_path / "key.pem").unlink()
    with pytest.raises(OptionError, match=credentials.KEY):
        dub(clip, clip, tmp_path / "out.mp4")


def test_a_key_that_is_gone_at_the_end_loses_no_work(issue, tmp_path: Path) -> None:
    issue()
    make_video(tmp_path / "face.mp4", frames=50, size=(160, 120))
    make_sound(tmp_path / "speech.wav", 2)
    key = (tmp_path / "key.pem").read_bytes()
    given = (tmp_path / "face.mp4", tmp_path / "speech.wav", tmp_path / "out.mp4")

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "join":
            (tmp_path / "key.pem").unlink(missing_ok=True)

    with pytest.raises(OutputError, match=r"cannot be signed.*--resume"):
        dub(*given, parts=fake_parts(), progress=progress)
    assert list((tmp_path / "out.mp4.job").glob("segment*"))
    (tmp_path / "key.pem").write_bytes(key)
    assert dub(*given, resume=True, parts=fake_parts()).frames == 50
    assert manifest(given[2])[0] == "Valid"


@pytest.mark.parametrize("kind", ["P-256", "RSA"])
def test_keys_as_openssl_writes_them_by_itself(kind: str, issue, tmp_path: Path) -> None:
    issue(kind)
    loaded = serialization.load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    form = (serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(loaded.private_bytes(serialization.Encoding.PEM, *form))
    credentials.check()


def test_names_that_utf_8_cannot_hold(issue, clip: Path, tmp_path: Path) -> None:
    issue()
    join([clip], tmp_path / "out.mp4", mark=True, title=os.fsdecode(b"na\xefve.mp4"))
    assert manifest(tmp_path / "out.mp4")[1]["title"] == "na?ve.mp4"


def test_a_server_asks_before_it_takes_jobs(issue, tmp_path: Path) -> None:
    serve = pytest.importorskip("kouxing.server.serve", reason="kouxing[live] is not installed")
    issue()
    (tmp_path / "key.pem").unlink()
    with pytest.raises(OptionError, match=credentials.KEY):
        serve.build(serve.Order())


def test_room_for_the_signed_copy_is_asked_for(issue, clip: Path, tmp_path: Path, monkeypatch: Any) -> None:
    asked: list[int] = []
    monkeypatch.setattr("kouxing.media.join.need_space", lambda path, needed: asked.append(needed))
    join([clip], tmp_path / "bare.mp4", mark=True)
    issue()
    join([clip], tmp_path / "signed.mp4", mark=True)
    assert asked[1] >= 1.9 * asked[0]
