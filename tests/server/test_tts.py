"""Speech by other programs and services: only sound gets through, and nothing runs on when it is no longer wanted."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.errors import MediaError, OptionError
from kouxing.face.closure import lip_distance
from kouxing.server import tts
from kouxing.server.text import SpokenPiece, speaking
from kouxing.server.tts import Command, External, Service, answer_of, filled
from kouxing.server.tts_wav import read_wav
from server.mocap_world import until

TONE = np.sin(np.arange(12_000) / 20).astype(np.float32) / 2


def wav(samples: np.ndarray = TONE, rate_hz: int = 24_000, coding: int = 1, bits: int = 16, channels: int = 1) -> bytes:
    """A WAV file by hand."""
    if coding == 3:
        raw = samples.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        raw = np.round(samples * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(samples.astype(np.float64) * (2.0 ** (bits - 1) - 1)).astype(np.int64)
        raw = b"".join(int(one).to_bytes(bits // 8, "little", signed=True) for one in whole.ravel())
    step = channels * bits // 8
    form = struct.pack("<HHIIHH", coding, channels, rate_hz, rate_hz * step, step, bits)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(raw)) + raw
    return b"RIFF" + struct.pack("<I", len(body)) + body


async def all_of(spoken: AsyncIterator[SpokenPiece]) -> list[SpokenPiece]:
    return [piece async for piece in spoken]


def said(speaker: External, text: str, language: str = "en") -> list[SpokenPiece]:
    async def run() -> list[SpokenPiece]:
        try:
            return await all_of(speaker.speak(text, language))
        finally:
            await speaker.close()

    return asyncio.run(run())


# WAV


@pytest.mark.parametrize(("coding", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
@pytest.mark.parametrize("channels", [1, 2])
def test_all_codings_give_the_same_sound(coding: int, bits: int, channels: int) -> None:
    both = np.stack([TONE] * channels, 1)
    clip = read_wav(wav(both, coding=coding, bits=bits, channels=channels))
    assert clip.rate_hz == 24_000 and clip.samples.dtype == np.float32
    np.testing.assert_allclose(clip.samples, TONE, atol=1 / 100 if bits == 8 else 1e-4)


def test_streams_of_unknown_length_and_other_parts_are_read() -> None:
    made = wav()
    for length in (0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFF - 36):
        streamed = made[:40] + struct.pack("<I", length) + made[44:]
        np.testing.assert_array_equal(read_wav(streamed).samples, read_wav(made).samples)
    listed = made[:36] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + made[36:] + b"LIST" + struct.pack("<I", 2) + b"ab"
    np.testing.assert_array_equal(read_wav(listed).samples, read_wav(made).samples)
    form = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 24_000, 48_000, 2, 16, 22, 16, 4, 1) + bytes(14)
    extensible = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", len(form)) + form + made[36:]
    np.testing.assert_array_equal(read_wav(extensible).samples, read_wav(made).samples)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"ID3\4" + bytes(100), wav()[:40], wav()[:-100], wav(np.zeros(0)),
     wav()[:20] + wav()[36:],
     wav(coding=3, bits=16 * 2)[:20] + b"\6\0" + wav()[22:], wav(rate_hz=100), wav(rate_hz=10**6),
     wav(np.full(100, np.nan), coding=3, bits=32), wav(np.full(100, 1e300), coding=3, bits=64),
     wav(np.zeros(8000 * 301), rate_hz=8000, bits=8), wav()[:36] + b"data" + b"\0\0\0\0"],
)  # fmt: skip
def test_what_is_no_wav_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_wav(content)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=5), st.integers(0, 300))
def test_any_damage_gives_sound_or_a_value_error(faults: list[tuple[int, int]], length: int) -> None:
    made = bytearray(wav(TONE[:120]))
    for place, byte in faults:
        made[place] = byte
    try:
        clip = read_wav(bytes(made[:length]))
    except ValueError:
        return
    assert len(clip.samples) and np.isfinite(clip.samples).all() and np.abs(clip.samples).max() <= 1


@given(st.binary(max_size=200))
def test_any_bytes_give_sound_or_a_value_error(content: bytes) -> None:
    for one in (content, b"RIFF\0\0\0\0WAVE" + content):
        try:
            read_wav(one)
        except ValueError:
            continue


# Commands


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], list[str]]:
    """Writes a Python program and gives its command."""
    (tmp_path / "tone.wav").write_bytes(wav())
    made = iter(range(100))

    def write(body: str) -> list[str]:
        path = tmp_path / f"tts{next(made)}.py"
        path.write_text(f"import json, os, subprocess, sys, time\nTONE = {str(tmp_path / 'tone.wav')!r}\n{body}\n")
        return [sys.executable, str(path)]

    return write


SPEAK = "sys.stdout.buffer.write(open(TONE, 'rb').read())"


def test_a_command_speaks_each_piece(program: Callable[[str], list[str]], tmp_path: Path) -> None:
    log = tmp_path / "log"
    argv = program(f"open({str(log)!r}, 'a').write(sys.stdin.read() + '|' + sys.argv[1] + '\\n'); {SPEAK}")
    made = said(External(Command([*argv, "--voice={language}"])), "Hello there. Good day!", "de")
    assert [piece.text for piece in made] == ["Hello there.", "Good day!"]
    assert [piece.start for piece in made] == [0, 8000] and all(len(piece.samples) == 8000 for piece in made)
    assert sorted(log.read_text().splitlines()) == ["Good day!|--voice=de", "Hello there.|--voice=de"]
    # The tone itself, at another rate.
    wanted = np.sin(np.arange(8000) * 1.5 / 20) / 2
    assert np.corrcoef(made[0].samples, wanted)[0, 1] > 0.999 and made[0].rows is None


def test_files_and_viseme_times(program: Callable[[str], list[str]]) -> None:
    azure = [
        {"AudioOffset": 0, "VisemeId": 2},
        {"AudioOffset": 1_000_000, "VisemeId": 21},
        {"AudioOffset": 1_800_000, "VisemeId": 2},
    ]
    argv = program(
        f"open(sys.argv[2], 'w').write({json.dumps(azure)!r}); open(sys.argv[1], 'wb').write(open(TONE, 'rb').read())"
    )
    (piece,) = said(External(Command([*argv, "{out}", "{visemes}", "{text}"])), "Aba")
    gaps = lip_distance(piece.rows)
    assert piece.rows.shape == (30, 52) and gaps[7] < 0.01 < 0.2 < gaps[3] and gaps[16] > 0.2


def test_a_text_is_never_more_than_an_argument(program: Callable[[str], list[str]], tmp_path: Path) -> None:
    log = tmp_path / "log"
    argv = program(f"open({str(log)!r}, 'w').write(json.dumps(sys.argv[1:])); {SPEAK}")
    evil = "--out=/etc/passwd; rm -rf {out} $(id) `id` | tee"
    said(External(Command([*argv, "{text}", "x{text}"])), evil)
    (first, second) = json.loads(log.read_text())
    assert first == " " + evil and second == "x " + evil
    assert filled("{text}{out}", {"text": "{out}", "out": "{text}"}) == "{out}{text}"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("pass", "not speech"),
        ("sys.stdout.buffer.write(b'RIFF')", "not speech"),
        ("sys.stderr.write('no \\x1b[2Jvoice\\n' * 100); sys.exit(3)", "ended with 3: .*voice"),
        ("sys.stdout.buffer.write(bytes(2 ** 21)); time.sleep(60)", "more than"),
        ("time.sleep(60)", "within"),
        ("os.close(1); time.sleep(60)", "within"),
        ("subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)", "within"),
    ],
)
def test_commands_that_fail_are_ended_and_told_in_one_line(
    program: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch, body: str, word: str
) -> None:
    monkeypatch.setattr(tts, "MOST_BYTES", 2**20)
    began = time.monotonic()
    with pytest.raises(MediaError, match=word) as caught:
        said(External(Command(program(body)), answer_s=1.0 if word == "within" else 30.0), "Hello.")
    assert time.monotonic() - began < 30
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_file_that_was_not_written_or_holds_no_visemes(program: Callable[[str], list[str]]) -> None:
    with pytest.raises(MediaError, match=r"no speech\.wav"):
        said(External(Command([*program("pass"), "{out}"])), "Hello.")
    with pytest.raises(MediaError, match="visemes"):
        said(External(Command([*program(f"open(sys.argv[1], 'w').write('x'); {SPEAK}"), "{visemes}"])), "Hello.")


def test_what_is_cancelled_is_ended_with_its_children(program: Callable[[str], list[str]], tmp_path: Path) -> None:
    mark = tmp_path / "pids"
    argv = program(
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"open({str(mark)!r} + '.part', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.replace({str(mark)!r} + '.part', {str(mark)!r})\ntime.sleep(300)"
    )

    async def run() -> None:
        task = asyncio.ensure_future(all_of(External(Command(argv)).speak("Hello.", "en")))
        while not mark.exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    for pid in map(int, mark.read_text().split()):
        until(lambda pid=pid: not alive(pid))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child of nobody stays a zombie where no init reaps it.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")


@pytest.mark.parametrize("line", ["", "no-such-program --x", '"open quote'])
def test_commands_that_are_none(line: str) -> None:
    with pytest.raises(OptionError) as caught:
        speaking(line)
    assert "--tts" in str(caught.value) and "\n" not in str(caught.value)


# Services


class Answers(BaseHTTPRequestHandler):
    """Answers by the path; keeps what was asked."""

    asked: ClassVar[list[tuple[str, str, dict[str, str], bytes]]] = []

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.asked.append((self.command, self.path, dict(self.headers), body))
        where = self.path.split("?")[0]
        kind, content, status = "audio/wav", wav(), 200
        if where == "/json":
            marks = [{"time": 0, "type": "viseme", "value": "a"}, {"time": 200, "type": "viseme", "value": "p"}]
            told = {"audio": base64.b64encode(content).decode(), "visemes": marks}
            kind, content = "application/json", json.dumps(told).encode()
        elif where == "/bad-json":
            kind, content = "application/json", b'{"audio": 3}'
        elif where == "/page":
            kind, content = "text/html", b"<html>hello</html>"
        elif where == "/large":
            content = bytes(3 * 2**20)
        elif where == "/busy":
            status = 503
        elif where == "/moved":
            self.send_response(302)
            self.send_header("Location", "/wav")
            self.end_headers()
            return
        elif where == "/drip":
            self._drip()
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(600):
                self.wfile.write(b"R")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_service_is_posted_each_piece(service: str) -> None:
    Answers.asked.clear()
    made = said(External(Service(f"{service}/wav?voice=ann", "Bearer secret")), "Hello. Grüß Gott!", "de")
    assert [len(piece.samples) for piece in made] == [8000, 8000]
    assert [(one[0], one[1], json.loads(one[3])) for one in Answers.asked] == [
        ("POST", "/wav?voice=ann", {"text": text, "language": "de"}) for text in ("Hello.", "Grüß Gott!")
    ]
    assert all(one[2]["Authorization"] == "Bearer secret" for one in Answers.asked)


def test_a_service_is_asked_by_get_where_the_address_says_so(service: str) -> None:
    Answers.asked.clear()
    said(External(Service(service + "/wav?text={text}&lang={language}")), "a & b?/../ #c", "en")
    assert Answers.asked[0][:2] == ("GET", "/wav?text=a%20%26%20b%3F%2F..%2F%20%23c&lang=en")


def test_a_service_may_tell_visemes(service: str) -> None:
    (piece,) = said(External(Service(service + "/json")), "Ap")
    gaps = lip_distance(piece.rows)
    assert piece.rows.shape == (30, 52) and gaps[5] > 0.2 and gaps[20] < 0.01


@pytest.mark.parametrize(
    ("path", "word"),
    [("/page", "not speech"), ("/large", "more than"), ("/busy", "503"), ("/moved", "302.*elsewhere"),
     ("/drip", "within"), ("/bad-json", "no speech")],
)  # fmt: skip
def test_services_that_fail_are_told_in_one_line(
    service: str, monkeypatch: pytest.MonkeyPatch, path: str, word: str
) -> None:
    monkeypatch.setattr(tts, "MOST_BYTES", 2**21)
    wait = 0.5 if path == "/drip" else 30.0
    with pytest.raises(MediaError, match=word) as caught:
        said(External(Service(service + path, answer_s=wait), wait), "Hello.")
    assert "\n" not in str(caught.value)


def test_nobody_there() -> None:
    with pytest.raises(MediaError, match=r"--tts http://127\.0\.0\.1:9"):
        said(External(Service("http://127.0.0.1:9/x")), "Hello.")


def test_a_request_that_is_no_longer_wanted_ends(service: str) -> None:
    speaker = External(Service(service + "/drip"))

    async def run() -> float:
        task = asyncio.ensure_future(all_of(speaker.speak("Hello.", "en")))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        began = time.monotonic()
        # Its thread is free again for others at once.
        await asyncio.get_running_loop().run_in_executor(speaker._voice._threads, lambda: None)
        await speaker.close()
        return time.monotonic() - began

    assert asyncio.run(run()) < 5


@pytest.mark.parametrize(
    "url", ["http://", "http://a:b@host/x", "http://host:99999/", "http://{text}.host/", "http://host/ü", "http://h/#x"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(OptionError) as caught:
        speaking(url)
    assert "--tts" in str(caught.value) and "\n" not in str(caught.value)


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_TTS_AUTHORIZATION", "Bearer x")
    assert speaking("https://tts.example/speak")._voice._authorization == "Bearer x"
    monkeypatch.setenv("KOUXING_TTS_AUTHORIZATION", "a\r\nHost: evil")
    with pytest.raises(OptionError):
        speaking("https://tts.example/speak")


@given(st.one_of(st.binary(max_size=80), st.dictionaries(st.sampled_from(["audio", "visemes"]), st.one_of(
    st.text(max_size=8), st.none(), st.integers(), st.lists(st.integers(), max_size=2)
)).map(lambda told: json.dumps(told).encode())))  # fmt: skip
def test_any_json_gives_an_answer_or_a_media_error(content: bytes) -> None:
    try:
        assert isinstance(answer_of(content, "x").wav, bytes)
    except MediaError as error:
        assert "\n" not in str(error)


def test_pieces_are_made_while_others_are_taken() -> None:
    """The next piece is asked for before the present one is used up, and never two ahead."""

    class Slow:
        name = "slow"

        def __init__(self) -> None:
            self.asked: list[str] = []

        async def say(self, piece: str, language: str) -> tts.Answer:
            self.asked.append(piece)
            await asyncio.sleep(0)
            return tts.Answer(wav())

        def close(self) -> None: ...

    async def run() -> None:
        voice = Slow()
        spoken = External(voice).speak("One. Two. Three. Four.", "en")
        first = await anext(spoken)
        await asyncio.sleep(0.01)
        assert first.text == "One." and voice.asked == ["One.", "Two."]
        await spoken.aclose()
        assert voice.asked == ["One.", "Two."]

    asyncio.run(run())
