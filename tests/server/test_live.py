"""The whole server: uvicorn on a free port of loopback, real worker processes, real WebSockets."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("websockets")

import httpx
import websockets
from hypothesis import given, settings
from hypothesis import strategies as st

from kouxing.arkit import PLACE
from kouxing.server import protocol, sockets
from kouxing.server.app import create_app
from kouxing.server.faces import MOUTH
from kouxing.server.job_routes import job_router
from kouxing.server.jobs import Jobs
from kouxing.server.limits import Limits
from kouxing.server.live import Live
from kouxing.server.mocap_out import MotionOut
from kouxing.server.pool import Pool
from kouxing.server.protocol import Frame, Kind, Rows
from kouxing.server.security import Guard
from kouxing.server.serve import bind, server_of
from kouxing.server.stage import Stage
from kouxing.units import SAMPLE_HZ
from server.live_world import Client, speak, voice

LIMITS = Limits(
    sessions=6, connections=12, hello_s=0.6, keep_s=4, messages_hz=300, burst_s=1, upload_bytes=3_000_000, over_s=2
)


class Voice:
    """Text to speech of these tests."""

    speak = staticmethod(speak)

    async def warm(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Running:
    """A server in a thread."""

    live: Live
    port: int
    motion: socket.socket

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/live"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    live = Live(Pool(2), Guard("127.0.0.1"), LIMITS, speaking=Voice())  # type: ignore[arg-type]
    jobs = Jobs(LIMITS)
    live.also(jobs)
    motion = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    motion.bind(("127.0.0.1", 0))
    stage = Stage(live, MotionOut([f"vmc://127.0.0.1:{motion.getsockname()[1]}"]))
    live.also(stage, stage.run)
    app = create_app(live, [job_router(jobs)], Path("nowhere"))
    bound = bind("127.0.0.1", 0)
    ready = threading.Event()
    live.when_ready = ready.set
    running = server_of(app)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    assert ready.wait(60)
    yield Running(live, bound.getsockname()[1], motion)
    motion.close()
    pids = live.pool.pids
    running.should_exit = True
    thread.join(60)
    assert not thread.is_alive()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "a worker process was left behind"


def play(story: Any) -> Any:
    """Run a coroutine with a limit."""
    return asyncio.run(asyncio.wait_for(story, 60))


def test_speech_becomes_rows_on_one_line(server: Running) -> None:
    async def story() -> None:
        client = await Client.connect(server.ws, output=["coefficients", "sound"])
        assert client.answer["coefficients"][PLACE["jawOpen"]] == "jawOpen" and client.answer["look_ahead_ms"] < 140
        sound = voice(1.5)
        await client.speak(sound)
        await client.send_event("end")
        await client.until("end")
        await client.take()
        numbers = [protocol.row_at(int(one)) for one in client.times]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert client.values[:, PLACE["jawOpen"]].max() > 0.05
        start = next(time_ for time_, told in client.events if told["event"] == "start")
        end = next(time_ for time_, told in client.events if told["event"] == "end")
        # A busy machine may hear silence where sound came late; never less than was said.
        assert end - start >= len(sound)
        heard = np.concatenate([block for _, block in client.sound])
        assert len(heard) == end - start
        await client.send_event("bye")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await client.take()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
        assert client.sequences == list(range(1, len(client.sequences) + 1))

    play(story())


def test_interrupt_brings_the_mouth_to_rest(server: Running) -> None:
    async def story() -> None:
        client = await Client.connect(server.ws)
        await client.speak(voice(3.0), block=1600, pace=0)
        await client.until("speech")
        await client.send_event("interrupt")
        told = await client.until("interrupt")
        assert told == {"event": "interrupt"}
        cut = client.events[-1][0]
        # Rows of later times that came before it are to be forgotten.
        client.rows.clear()
        while not (client.rows and client.times[-1] > cut + 0.3 * SAMPLE_HZ):
            await client.take()
        after = client.values[client.times >= cut + 0.11 * SAMPLE_HZ]
        assert len(after) and (after[-5:, MOUTH] == 0).all()
        await client.send_event("bye")

    play(story())


def test_text_speaks_and_a_watcher_sees_it_too(server: Running) -> None:
    async def story() -> None:
        client = await Client.connect(server.ws)
        watcher = await Client.connect(server.ws, watch=client.answer["session"], output=["sound"], encoding="u16")
        await client.send_event("say", text="hello there", id="7")
        for one in (client, watcher):
            await one.until("end")
            assert [told["text"] for _, told in one.events if told["event"] == "text"] == ["hello", "there"]
        assert client.values[:, PLACE["jawOpen"]].max() > 0.05
        assert watcher.sound and not watcher.rows
        await watcher.send_event("interrupt")
        assert (await watcher.until("error"))["code"] == "malformed"
        await client.send_event("bye")

    play(story())


def test_a_broken_connection_goes_on_where_it_was(server: Running) -> None:
    async def story() -> None:
        client = await Client.connect(server.ws)
        sound = voice(2.0)
        await client.speak(sound[: SAMPLE_HZ // 2])
        await client.until("speech")
        client.socket.transport.abort()
        await asyncio.sleep(0.3)
        again = await Client.connect(server.ws, resume=client)
        assert again.answer["resumed"] and again.answer["session"] == client.answer["session"]
        assert again.answer["received"] == client.sequence
        for _ in range(20):
            await again.take()
        assert again.sequences[0] == client.last + 1
        assert again.sequences == list(range(again.sequences[0], again.sequences[0] + len(again.sequences)))
        numbers = [protocol.row_at(int(one)) for one in np.concatenate([client.times, again.times])]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        # A second connection takes over from a first one that still stands.
        third = await Client.connect(server.ws, resume=again)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            while True:
                await again.take()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4409
        await third.take()
        third.socket.transport.abort()
        while client.answer["session"] in [one.name for one in server.live.sessions]:
            await asyncio.sleep(0.1)
        assert await refusal(server.ws, json.dumps(
            {"kouxing": 1, "resume": {"session": client.answer["session"], "last": 0}}
        )) == ("session", 4404)  # fmt: skip

    play(story())


def test_a_killed_worker_is_replaced_and_its_sessions_go_on(server: Running) -> None:
    async def story() -> None:
        client = await Client.connect(server.ws)
        task = asyncio.create_task(client.speak(voice(4.0)))
        await client.until("speech")
        before = server.live.pool.told.replaced
        pids = server.live.pool.busy_pids
        assert len(pids) == 1
        os.kill(pids[0], signal.SIGKILL)
        killed = client.times[-1]
        while client.times[-1] < killed + SAMPLE_HZ:
            await client.take()
        await task
        await client.send_event("end")
        await client.until("end")
        numbers = [protocol.row_at(int(one)) for one in client.times]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert server.live.pool.told.replaced == before + 1
        assert not set(pids) & set(server.live.pool.pids)
        await client.send_event("bye")

    play(story())


async def refusal(url: str, *messages: str | bytes, **headers: str) -> tuple[str, int | None]:
    """Code of the error and of the close that messages are answered with."""
    code = ""
    async with websockets.connect(url, additional_headers=headers, compression=None) as socket_:
        try:
            # The server may have said no before all was sent; what it said is still to be read.
            with suppress(websockets.ConnectionClosed):
                for message in messages:
                    await socket_.send(message)
            while True:
                data = await asyncio.wait_for(socket_.recv(), 20)
                if isinstance(data, str):
                    code = json.loads(data).get("error", {}).get("code", code)
                    continue
                frame = protocol.decode(data) if data[1] != Kind.EVENT else None
                if frame is None:
                    told = json.loads(data[protocol.HEADER.size :])
                    code = told["code"] if told["event"] == "error" else code
        except websockets.ConnectionClosed as closed:
            return code, closed.rcvd.code if closed.rcvd else None


HELLO = '{"kouxing": 1, "idle": false}'
GOOD = protocol.encode(Frame(Kind.SOUND, b"\0\0", 0, 1))


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        ((), ("timeout", 4408)),
        (("no json",), ("malformed", 4400)),
        (('{"kouxing": 9}',), ("version", 4406)),
        ((HELLO.encode(),), ("malformed", 4400)),
        ((GOOD,), ("malformed", 4400)),
        ((HELLO, "text"), ("malformed", 4400)),
        ((HELLO, b""), ("malformed", 4400)),
        ((HELLO, b'{"event": "end"}'), ("malformed", 4400)),
        ((HELLO, b"\x02" + GOOD[1:]), ("version", 4406)),
        ((HELLO, GOOD[:-1]), ("malformed", 4400)),
        ((HELLO, protocol.encode(Frame(Kind.EVENT, b'{"event": "mood", "mouth": 7}', 0, 1))), ("malformed", 4400)),
        ((HELLO, protocol.encode(Frame(Kind.PING, b"x" * 65))), ("malformed", 4400)),
        ((HELLO, *([GOOD] * 1000)), ("busy", 4429)),
        ((HELLO, b"x" * 70_000), ("", 1009)),
        (('{"kouxing": 1, "resume": {"session": "../../etc", "last": 0}}',), ("session", 4404)),
        (('{"kouxing": 1, "watch": "0"}',), ("session", 4404)),
    ],
    ids=range(16),
)
def test_bad_input_is_refused_clearly(server: Running, messages: tuple[Any, ...], wanted: tuple[str, int]) -> None:
    assert play(refusal(server.ws, *messages)) == wanted


def test_pages_of_other_sites_are_refused(server: Running) -> None:
    assert play(refusal(server.ws, HELLO, Origin="https://evil.example")) == ("origin", 4403)
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        answer = httpx.get(f"{server.http}/v1/sessions", headers=headers)
        assert answer.status_code == 403 and answer.json()["error"]["code"] == "origin"


def test_golden_faults_close_only_their_own_connection(server: Running) -> None:
    golden = Path(__file__).parent / "golden"
    index = json.loads((golden / "index.json").read_text(encoding="utf-8"))

    async def story() -> None:
        bystander = await Client.connect(server.ws)
        for name, told in index.items():
            if "refused" in told:
                code, close = await refusal(server.ws, HELLO, (golden / name).read_bytes())
                assert (code, close) == (told["refused"], protocol.CLOSES[told["refused"]]), name
        last = bystander.last
        await bystander.take()
        assert bystander.last > last
        await bystander.send_event("bye")

    play(story())


def test_small_faults_are_told_and_disturb_nothing(server: Running) -> None:
    async def story() -> None:
        client = await Client.connect(server.ws)
        await client.send_event("say", text="")
        assert (await client.until("error"))["fatal"] is False
        await client.send_event("mood", emotion="happy")
        assert "expression" in (await client.until("error"))["message"]
        await client.send_event("mix", rules="nobody")
        assert (await client.until("error"))["code"] == "refused"
        await client.send_event("from-the-future")
        await client.send_event("mood", mouth=0.5)
        assert (await client.until("mood"))["mouth"] == 0.5
        await client.send_event("bye")

    play(story())


def test_captured_motion_is_mixed_in(server: Running) -> None:
    async def story() -> None:
        client = await Client.connect(server.ws)
        face = np.zeros((1, 52), np.float32)
        face[0, PLACE["browInnerUp"]] = 0.9
        for k in range(60):
            await client.send_rows(Rows(np.array([k * 267]), face))
            await asyncio.sleep(1 / 60)
            if client.rows and client.values[-1, PLACE["browInnerUp"]] > 0.8:
                break
            await client.take()
        assert client.values[:, PLACE["browInnerUp"]].max() > 0.8
        await client.send_event("bye")

    play(story())


def test_motion_goes_out_to_receivers(server: Running) -> None:
    server.motion.settimeout(1)
    told: list[bytes] = []
    until = time.monotonic() + 8
    while sum(b"/VMC/Ext/Blend/Apply" in one for one in told) < 20 and time.monotonic() < until:
        with suppress(socket.timeout):
            told.append(server.motion.recv(4096))
    assert time.monotonic() < until
    assert any(b"BlinkLeft" in one for one in told)


def test_there_are_no_more_sessions_than_may_be(server: Running) -> None:
    async def story() -> None:
        clients = []
        while len(server.live.sessions) < LIMITS.sessions:
            clients.append(await Client.connect(server.ws, idle=False))
        assert await refusal(server.ws, HELLO) == ("busy", 4429)
        # A session whose terminal is gone gives way.
        clients[0].socket.transport.abort()
        await asyncio.sleep(0.2)
        clients[0] = await Client.connect(server.ws, idle=False)
        for client in clients:
            await client.send_event("bye")

    play(story())


def test_a_slow_terminal_loses_rows_and_nobody_else_does(server: Running) -> None:
    async def story() -> None:
        client = await Client.connect(server.ws)
        session = server.live.session(client.answer["session"])
        outlet = session.out(["coefficients"])
        await client.speak(voice(1.0))
        assert outlet.dropped == 0
        outlet.close()
        await client.send_event("bye")

    play(story())


def test_http_sessions(server: Running) -> None:
    with httpx.Client(base_url=server.http) as client:
        made = client.post("/v1/sessions", json={"output": ["coefficients"]})
        assert made.status_code == 201
        name = made.json()["session"]
        taken = client.post(f"/v1/sessions/{name}/sound", content=protocol.sound_bytes(voice(0.5)))
        assert taken.json()["seconds"] == 0.5
        assert client.post(f"/v1/sessions/{name}/say", json={"text": "hello"}).status_code == 202
        assert client.post(f"/v1/sessions/{name}/interrupt").status_code == 200
        told = client.get(f"/v1/sessions/{name}").json()
        assert told["heard_s"] == 0.5 and told["session"] == name[:8]
        assert all(name not in json.dumps(one) for one in client.get("/v1/sessions").json())
        for path, body, status in (
            (f"/v1/sessions/{name}/say", {"text": ""}, 422),
            (f"/v1/sessions/{name}/say", {}, 422),
            ("/v1/sessions", {"mouth": "wide"}, 422),
            ("/v1/sessions", {"resume": {"session": "0"}}, 400),
        ):
            answer = client.post(path, json=body)
            assert answer.status_code == status and set(answer.json()["error"]) == {"code", "message"}
        assert client.post(f"/v1/sessions/{name}/sound", content=b"x").status_code == 400
        assert client.post(f"/v1/sessions/{name}/sound", content=bytes(2_000_000)).status_code == 413
        assert client.delete(f"/v1/sessions/{name}").status_code == 204
        assert client.get(f"/v1/sessions/{name}").status_code == 404
        assert client.get("/v1/sessions/..%2f..%2fetc%2fpasswd").status_code in (404, 422)
        assert client.get("/v1/health").json()["status"] == "ok"
        metrics = client.get("/metrics").text
        assert "kouxing_rows_total" in metrics and "kouxing_workers 2.0" in metrics
        paths = client.get("/openapi.json").json()["paths"]
        assert "multipart/form-data" in paths["/v1/jobs/dub"]["post"]["requestBody"]["content"]
        page = client.get("/")
        assert "make web" in page.text and "content-security-policy" in page.headers


def test_a_session_made_over_http_is_entered_by_a_terminal(server: Running) -> None:
    made = httpx.post(f"{server.http}/v1/sessions", json={}).json()

    async def connect() -> None:
        socket_ = await websockets.connect(server.ws, compression=None)
        await socket_.send(json.dumps({"kouxing": 1, "resume": {"session": made["session"], "last": 0}}))
        client = Client(socket_, json.loads(await socket_.recv()))
        assert client.answer["resumed"] and client.answer["session"] == made["session"]
        await client.take()
        await client.send_event("bye")

    play(connect())


def test_the_programs_of_the_documentation_work(
    server: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files of any length are sent no faster than messages may come.
    monkeypatch.setattr(server.live, "limits", replace(LIMITS, messages_hz=8))
    page = (Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "voice.wav"
    write_wav(path, voice(0.6))
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(program, "docs/live.md", "exec"), names)
    play(names["face"](server.ws, str(path)))
    lines = [line for line in capsys.readouterr().out.splitlines() if "jaw" in line]
    assert len(lines) > 2 and any(not line.endswith("0.00") for line in lines)


def test_half_open_sockets_are_cut_off(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "FIRST_S", 0.3)
    with (
        socket.create_connection(("127.0.0.1", server.port)) as silent,
        socket.create_connection(("127.0.0.1", server.port)) as slow,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        for one in (silent, slow):
            one.settimeout(10)
            with suppress(ConnectionResetError):
                assert one.recv(1) == b""
    assert httpx.get(f"{server.http}/v1/health").status_code == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        (b"POST /v1/sessions HTTP/1.1\r\nHost: elsewhere\r\nContent-Length: 100\r\n\r\n", b"403"),
    ],
    ids=["answered", "refused unread"],
)
def test_a_byte_after_an_answer_holds_no_socket(
    server: Running, monkeypatch: pytest.MonkeyPatch, request_: bytes, status: bytes
) -> None:
    monkeypatch.setattr(sockets, "FIRST_S", 0.3)
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.settimeout(10)
        one.sendall(request_)
        assert one.recv(4096).split()[1] == status
        one.sendall(b"G")
        began, last = time.monotonic(), b"?"
        with suppress(ConnectionResetError):
            # The answer's body may still be on its way.
            while last:
                last = one.recv(4096)
        assert time.monotonic() - began < 5


def write_wav(path: Path, sound: protocol.Sound) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_HZ, 0, "NONE", ""))
        file.writeframes(protocol.sound_bytes(sound))


def job(client: httpx.Client, kind: str, files: Any, **options: str) -> httpx.Response:
    return client.post(f"/v1/jobs/{kind}", files=files, data=options)


def test_a_file_job_from_upload_to_removal(server: Running, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    write_wav(path, voice(1.0))
    with httpx.Client(base_url=server.http, timeout=60) as client:
        files = {"speech": ("../../../tmp/evil.wav", path.read_bytes())}
        made = job(client, "animate", files, method="mouth", format="json")
        assert made.status_code == 202, made.text
        name = made.json()["id"]
        with client.stream("GET", f"/v1/jobs/{name}/events") as events:
            told = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: ")]
        assert told[-1]["state"] == "done" and told[-1]["results"] == ["animation.json"]
        assert told[-1]["warnings"] == []
        result = client.get(f"/v1/jobs/{name}/results/animation.json")
        assert result.status_code == 200 and result.json()
        assert client.get(f"/v1/jobs/{name}/results/speech.wav").status_code == 404
        assert client.get(f"/v1/jobs/{name}/results/..%2f..%2fetc").status_code in (404, 422)
        assert client.delete(f"/v1/jobs/{name}").status_code == 204
        assert client.get(f"/v1/jobs/{name}").status_code == 404
        # A file that is none: the job fails in one line that does not tell where files lie.
        made = job(client, "animate", {"speech": ("x.mp4", b"#EXTM3U\nfile:///etc/passwd\n" * 50)})
        name = made.json()["id"]
        while (now := client.get(f"/v1/jobs/{name}").json())["state"] in ("queued", "running"):
            time.sleep(0.1)
        assert now["state"] == "failed" and "\n" not in now["error"] and "/tmp" not in now["error"]


def test_uploads_that_may_not_be(server: Running) -> None:
    with httpx.Client(base_url=server.http, timeout=60) as client:
        small = {"speech": ("a.wav", b"x")}
        assert job(client, "animate", small, format="exe").status_code == 422
        assert job(client, "animate", small, folder="/etc").status_code == 422
        assert job(client, "animate", {"video": ("a.wav", b"x")}).status_code == 400
        assert job(client, "dub", {"face": ("a.mp4", b"x")}).status_code == 400
        assert job(client, "animate", {"speech": ("a.wav", bytes(4_000_000))}).status_code == 413
        assert client.post("/v1/jobs/animate", content=b"{}").status_code == 400
        broken = {"content-type": "multipart/form-data; boundary=x"}
        assert client.post("/v1/jobs/animate", content=b"--y\r\n\r\n", headers=broken).status_code == 400
        broken = {"content-type": "multipart/form-data"}
        assert client.post("/v1/jobs/animate", content=b"", headers=broken).status_code == 400
        assert all(len(one["id"]) == 8 for one in client.get("/v1/jobs").json())


BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["kouxing", "mouth", "output", "emotion", "resume", "text", "id", "x"]), inner, max_size=4
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=8)
@given(body=BODIES, name=st.text(alphabet="0123456789abcdefg./%-", max_size=40))
def test_whatever_is_asked_over_http_is_answered_or_refused(server: Running, body: Any, name: str) -> None:
    with httpx.Client(base_url=server.http, timeout=60) as client:
        spec = client.get("/openapi.json").json()["paths"]
        for path, methods in spec.items():
            for method in methods:
                url = path
                for key in ("name", "result"):
                    url = url.replace("{" + key + "}", quote(name, safe="") or "0")
                answer = client.request(method, url, json=body) if method == "post" else client.request(method, url)
                assert answer.status_code < 500, (method, url, body, answer.text)
                if answer.status_code == 201:
                    client.delete(f"/v1/sessions/{answer.json()['session']}")
                elif answer.status_code >= 400:
                    assert set(answer.json()["error"]) == {"code", "message"}, (method, url, answer.text)


@settings(max_examples=25)
@given(st.lists(st.one_of(st.text(max_size=60), st.binary(max_size=60)), min_size=1, max_size=5))
def test_whatever_a_terminal_sends_is_answered_or_refused(server: Running, messages: list[Any]) -> None:
    code, close = play(refusal(server.ws, *messages))
    assert close is not None and close in protocol.CLOSES.values() and code in protocol.CLOSES


def test_after_all_that_nothing_is_left(server: Running) -> None:
    def left() -> tuple[int, int, int]:
        return len(server.live.sessions), server.live.connections, server.live.pool.streams

    deadline = time.monotonic() + LIMITS.keep_s + 20
    while left() != (0, 0, 0) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left() == (0, 0, 0)
    assert server.live.counts.refused["fault"] == 0
