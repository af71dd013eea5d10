"""``kouxing serve``: mistakes are one line and exit 2; started and stopped, it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from kouxing.cli.app import run

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--host", "0.0.0.0", "--token", "short"], "8 to"),
        (["--host", "no.such.address.invalid", "--token", "long-enough"], "cannot listen"),
        (["--port", "99999"], "65535"),
        (["--method", "other"], "other"),
        (["--allow-origin", "example.org"], "https://example.org"),
        (["--tts", "no-such-command-anywhere {text}"], "no-such-command-anywhere"),
        (["--capture", "http://x"], "http://x"),
        (["--footage", "missing.mp4"], "missing.mp4"),
        (["--person", "x.kx"], "--person x.kx: goes with --footage"),
        (["--preset", "fine"], "goes with --footage"),
        (["--idle", "filmed"], "goes with --footage"),
    ],
)
def test_mistakes_are_one_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--no-browser", *words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(["serve", "--no-browser", "--no-jobs", "--port", port]) == 2
    assert f"--port {port}" in capsys.readouterr().err


def test_workers_that_cannot_start_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mouth.onnx").write_bytes(b"nonsense")
    (tmp_path / "mouth.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("KOUXING_WEIGHTS", str(tmp_path))
    assert run(["serve", "--no-browser", "--no-jobs", "--port", "0"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert lines[-1].startswith("kouxing: error:") and "mouth" in lines[-1]
    assert not any("Traceback" in line for line in lines)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_starts_says_where_it_is_and_goes_when_asked(number: signal.Signals) -> None:
    command = [
        sys.executable,
        "-m",
        "kouxing",
        "serve",
        "--port",
        "0",
        "--no-browser",
        "--no-jobs",
        "--token",
        "a-long-token",
    ]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        base, _, token = url.partition("#token=")
        assert token == "a-long-token"
        with urllib.request.urlopen(f"{base}v1/health", timeout=30) as answer:
            assert answer.status == 200
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        pids = children.read_text(encoding="ascii").split() if children.exists() else []
        # As from a terminal: to the whole group.
        os.killpg(process.pid, number)
        _, error = process.communicate(timeout=30)
        assert error in ("", "kouxing: stopped\n")
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    finally:
        process.kill()
