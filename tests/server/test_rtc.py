"""Viewers over WebRTC on loopback: offer and answer, exact times, limits, refusals, and going away."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioice.ice
import av
import numpy as np
import pytest
from aiortc.contrib.media import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from fastapi import FastAPI
from starlette.testclient import TestClient

from fake_media import make_sound
from kouxing.errors import KouxingError, OptionError
from kouxing.server import rtc_hub, rtc_peer
from kouxing.server.render_stream import Picture, RenderedStream
from kouxing.server.rtc import Ice, RenderHub, RenderSettings, read_ice, rtc_router
from kouxing.server.rtc_hub import BusyError, MissingError
from kouxing.server.rtc_peer import Peer
from kouxing.server.rtc_tracks import Finer, frame_of
from kouxing.units import SAMPLE_HZ
from rendered_world import BRIGHT, HEIGHT, WIDTH, LampPlan, Viewer, blocks, tone, until

Scene = Callable[[RenderHub], Coroutine[Any, Any, None]]


class LampHub(RenderHub):
    """Shows lamps instead of faces."""

    def __init__(self, settings: RenderSettings | None = None, plan: LampPlan | None = None, **more: Any) -> None:
        super().__init__(settings or RenderSettings(streams=2, viewers=2), **more)
        self._plans = {"avatar": plan or LampPlan()}  # type: ignore[dict-item]


def play(scene: Scene, hub: RenderHub | None = None) -> None:
    """Run a scene with a hub; afterwards nothing of it is left."""

    async def main() -> None:
        own = hub or LampHub()
        try:
            await asyncio.wait_for(scene(own), 60)
        finally:
            await own.close()
        assert own.told() == [] and own.counts()["viewers"] == 0

    asyncio.run(main())


async def view(hub: RenderHub, viewer: Viewer, **more: Any) -> tuple[str, str]:
    """Connect a viewer; its id and the stream's."""
    sdp, name, stream = await hub.answer(await viewer.offer(), **more)
    assert "127.0.0.1" in sdp and not [
        line for line in sdp.splitlines() if line.startswith("a=candidate") and "127.0.0.1" not in line
    ]
    await viewer.answered(sdp)
    return name, stream


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_a_viewer_sees_and_hears_on_exact_times(codec: str) -> None:
    async def scene(hub: RenderHub) -> None:
        viewer = Viewer()
        name, _ = await view(hub, viewer, codec=codec)
        await until(lambda: len(viewer.frames["video"]) > 3)
        hub.stream_of(name).push_sound(blocks(0.6))
        hub.stream_of(name).end()
        await until(lambda: any(frame.to_ndarray()[0, 0] > 150 for frame in viewer.frames["video"]))
        await until(lambda: any(np.abs(frame.to_ndarray()).max() > 3000 for frame in viewer.frames["audio"]))
        pictures, sound = viewer.frames["video"], viewer.frames["audio"]
        assert all((frame.width, frame.height) == (WIDTH, HEIGHT) for frame in pictures)
        # 25 pictures a second at 90 kHz, 50 pieces of sound at 48 kHz: whole steps, even where one was left out.
        steps = np.diff([frame.pts for frame in pictures])
        assert (steps > 0).all() and not (steps % 3600).any() and (steps == 3600).mean() > 0.5
        assert set(np.diff([frame.pts for frame in sound])) <= {960 * n for n in range(1, 20)}
        await hub.hang_up(name)
        await until(lambda: viewer.ended == {"video", "audio"})
        await viewer.close()
        with pytest.raises(MissingError):
            await hub.hang_up(name)

    play(scene)


def test_several_see_one_stream_and_it_ends_after_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtc_hub, "GRACE_S", 0.2)

    async def scene(hub: RenderHub) -> None:
        one, two, three = Viewer(), Viewer(("video",)), Viewer()
        first, stream = await view(hub, one)
        second, again = await view(hub, two, stream=stream)
        assert again == stream and hub.stream_of(first) is hub.stream_of(second)
        await until(lambda: one.frames["video"] and two.frames["video"])
        with pytest.raises(BusyError, match="2 viewers"):
            await hub.answer(await three.offer(), stream=stream)
        await hub.hang_up(first)
        await hub.hang_up(second)
        await until(lambda: not hub.told())
        for viewer in (one, two, three):
            await viewer.close()

    play(scene)


def test_what_a_viewer_says_is_shown() -> None:
    class Microphone(MediaStreamTrack):
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self.at = 0

        async def recv(self) -> Any:
            import av

            await asyncio.sleep(0.02)
            samples = (tone(1)[: SAMPLE_HZ // 50] * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_HZ, self.at
            self.at += SAMPLE_HZ // 50
            return frame

    async def scene(hub: RenderHub) -> None:
        viewer = Viewer(microphone=Microphone())
        await view(hub, viewer)
        await until(lambda: any(frame.to_ndarray()[0, 0] > 150 for frame in viewer.frames["video"]), 30)
        await viewer.close()

    play(scene)


@dataclass
class Spoken:
    samples: np.ndarray


def test_orders_come_by_the_data_channel() -> None:
    said: list[tuple[str, str]] = []

    async def speak(text: str, language: str) -> AsyncIterator[Spoken]:
        said.append((text, language))
        if not text:
            raise OptionError("say: the text is empty")
        yield Spoken(blocks(0.4))

    async def scene(hub: RenderHub) -> None:
        viewer = Viewer()
        channel, told = viewer.peer.createDataChannel("kouxing"), []
        channel.on("message", told.append)
        other = viewer.peer.createDataChannel("others")
        name, _ = await view(hub, viewer)
        stream = hub.stream_of(name)
        await until(lambda: channel.readyState == "open")
        channel.send((blocks(30) * 32767).astype("<i2").tobytes()[:60_000])
        await until(lambda: stream.waiting_s > 0.5)
        channel.send(json.dumps({"event": "interrupt"}))
        await until(lambda: stream.waiting_s == 0)
        channel.send(json.dumps({"event": "say", "text": "hello", "language": "en-us"}))
        await until(lambda: said == [("hello", "en-us")])
        channel.send(json.dumps({"event": "say"}))
        await until(lambda: told)
        assert json.loads(told.pop()) == {"event": "error", "message": "say: the text is empty"}
        for wrong in (b"odd", "no json", "[]", '{"event": "jump"}', "x" * 70_000):
            channel.send(wrong)
        await until(lambda: len(told) == 5)
        assert all(json.loads(one)["event"] == "error" for one in told)
        await until(lambda: other.readyState == "closed")
        await viewer.close()

    play(scene, LampHub(speak=speak))


def test_viewers_of_one_stream_take_turns_and_one_silences_all() -> None:
    said: list[str] = []

    async def say(text: str, language: str) -> None:
        for piece in range(3):
            said.append(f"{text}{piece}")
            await asyncio.sleep(0.05)

    async def run() -> None:
        stream, peers = RenderedStream(LampPlan()), [object.__new__(Peer) for _ in range(2)]
        for peer, text in zip(peers, ("a", "b"), strict=True):
            peer.stream, peer._say, peer._tasks = stream, say, set()
            assert peer._message(json.dumps({"event": "say", "text": text}), print) is None
        await until(lambda: said == ["a0", "a1", "a2", "b0"])
        peers[0].interrupt()
        await asyncio.sleep(0.2)
        assert said == ["a0", "a1", "a2", "b0"] and not stream.texts

    asyncio.run(run())


def test_a_viewer_that_floods_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # Fewer than the 400 of everyday: where all cores are busy, no more get through.
    monkeypatch.setattr(rtc_peer, "MESSAGES_HZ", 10)

    async def scene(hub: RenderHub) -> None:
        viewer = Viewer()
        channel, told = viewer.peer.createDataChannel("kouxing"), []
        channel.on("message", told.append)
        name, _ = await view(hub, viewer)
        await until(lambda: channel.readyState == "open")
        for _ in range(1_000):
            channel.send('{"event": "end"}')
        await until(lambda: name not in hub._peers)
        assert [json.loads(one)["message"] for one in told] == ["more than 10 messages a second"]
        await viewer.close()

    play(scene, LampHub())


def test_a_session_is_listened_to() -> None:
    class Session:
        def __init__(self) -> None:
            self.sinks: list[Any] = []

        def attach(self, sink: Any) -> None:
            self.sinks.append(sink)

        def detach(self, sink: Any) -> None:
            self.sinks.remove(sink)

    session = Session()

    async def scene(hub: RenderHub) -> None:
        viewer = Viewer()
        with pytest.raises(MissingError, match="session"):
            await hub.answer(await viewer.offer(), session="another")
        await viewer.close()
        viewer = Viewer()
        await view(hub, viewer, session="mine")
        (sink,) = session.sinks
        sink.push_sound(blocks(0.6))
        sink.end()
        await until(lambda: any(frame.to_ndarray()[0, 0] > 150 for frame in viewer.frames["video"]))
        await viewer.close()

    play(scene, LampHub(find_session=lambda name: session if name == "mine" else None))
    assert session.sinks == []


def test_a_stream_that_fails_lets_its_viewers_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtc_hub, "GRACE_S", 0.1)
    monkeypatch.setattr(rtc_peer, "LOOK_S", 0.1)

    async def scene(hub: RenderHub) -> None:
        viewer = Viewer()
        name, _ = await view(hub, viewer)
        await until(lambda: viewer.frames["video"])
        stream = hub.stream_of(name)
        stream._lost = 100
        stream._process.end()
        await until(lambda: stream.failed and not hub.told() and hub.counts()["viewers"] == 0)
        await viewer.close()

    play(scene)


def test_a_page_that_is_loaded_again_gets_the_place_of_what_it_left() -> None:
    async def scene(hub: RenderHub) -> None:
        one, two, three = Viewer(), Viewer(), Viewer()
        name, stream = await view(hub, one)
        await hub.hang_up(name)
        _, another = await view(hub, two)
        assert another != stream and [row["stream"] for row in hub.told()] == [another]
        with pytest.raises(BusyError, match="1 rendered streams"):
            await hub.answer(await three.offer())
        for viewer in (one, two, three):
            await viewer.close()

    play(scene, LampHub(RenderSettings(streams=1)))


def test_no_more_streams_than_there_may_be() -> None:
    async def scene(hub: RenderHub) -> None:
        one, two = Viewer(), Viewer()
        await view(hub, one)
        with pytest.raises(BusyError, match="1 rendered streams run already"):
            await hub.answer(await two.offer())
        await one.close()
        await two.close()

    play(scene, LampHub(RenderSettings(streams=1)))


@pytest.mark.parametrize("goes", ["never comes", "goes without a word"])
def test_half_open_viewers_are_given_up(monkeypatch: pytest.MonkeyPatch, goes: str) -> None:
    monkeypatch.setattr(rtc_hub, "GRACE_S", 0.1)
    monkeypatch.setattr(rtc_peer, "CONNECT_S", 1.0 if goes == "never comes" else 20.0)
    monkeypatch.setattr(rtc_peer, "SILENT_S", 2.5)
    monkeypatch.setattr(rtc_peer, "LOOK_S", 0.2)

    async def scene(hub: RenderHub) -> None:
        viewer = Viewer()
        if goes == "never comes":
            await hub.answer(await viewer.offer())
        else:
            await view(hub, viewer)
            await until(lambda: len(viewer.frames["video"]) > 3)
            # Its sockets fall silent: nothing is said any more, not even goodbye.
            for transport in {one.receiver.transport.transport for one in viewer.peer.getTransceivers()}:
                for protocol in transport._connection._protocols:
                    protocol.transport.close()
        await until(lambda: hub.counts()["viewers"] == 0 and not hub.told())
        await asyncio.wait_for(asyncio.gather(viewer.close(), return_exceptions=True), 20)

    play(scene)


@pytest.mark.parametrize(
    "sdp",
    [
        "",
        "hello",
        "v=0\r\n",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
        "m=video \x00\r\n" * 50,
        "v=0\r\n" + "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n" * 100,
    ],
)
def test_offers_that_are_none_are_refused_and_leave_nothing(sdp: str) -> None:
    async def scene(hub: RenderHub) -> None:
        with pytest.raises(OptionError) as told:
            await hub.answer(sdp)
        assert "\n" not in str(told.value)
        # No process was started for it.
        assert not hub.told()

    play(scene)


def test_nobody_is_asked_for_addresses_but_whom_the_operator_names() -> None:
    # aiortc asks a public server where the list is missing instead of empty.
    assert Ice().configuration().iceServers == []
    (turn,) = Ice((("turn:t.example", "me", "secret"),), loopback=False).configuration().iceServers
    assert (turn.urls, turn.username, turn.credential) == ("turn:t.example", "me", "secret")
    rtc_peer._on_loopback.set(False)
    assert "127.0.0.1" not in aioice.ice.get_host_addresses(True, False)


def test_addresses_and_names_are_checked() -> None:
    assert read_ice("stun:stun.example:3478") == ("stun:stun.example:3478", None, None)
    assert read_ice("turn:t.example:3478,me,secret") == ("turn:t.example:3478", "me", "secret")
    for wrong in ("", "http://x", "turn:x,me", "stun:", "x"):
        with pytest.raises(OptionError, match="--ice"):
            read_ice(wrong)

    async def scene(hub: RenderHub) -> None:
        viewer = Viewer()
        offer = await viewer.offer()
        for more in ({"source": "footage"}, {"stream": "none"}):
            with pytest.raises(MissingError):
                await hub.answer(offer, **more)
        await viewer.close()

    play(scene)


def test_settings_that_cannot_be_are_told(tmp_path: Path) -> None:
    for wrong in (
        RenderSettings(streams=0),
        RenderSettings(footage=tmp_path / "none.mp4"),
        RenderSettings(avatar=tmp_path / "none.glb"),
    ):
        with pytest.raises(KouxingError) as told:
            RenderHub(wrong).prepare()
        assert "\n" not in str(told.value)


@pytest.fixture()
def client() -> TestClient:
    app = FastAPI()
    app.include_router(rtc_router(LampHub()))
    return TestClient(app)


def test_http_refuses_clearly(client: TestClient) -> None:
    assert client.get("/v1/rtc").json() == []
    assert client.get("/v1/rtc/sources").json() == LampHub().sources() != []
    assert "Start" in client.get("/rendered").text and client.get("/rendered/page.js").status_code == 200
    assert "keepInStep" in client.get("/rendered/step.js").text
    assert client.get("/rendered/page.css").headers["content-type"].startswith("text/css")
    assert client.get("/rendered/..%2frtc.py").status_code in (404, 422)
    assert client.get("/rendered/rtc.py").status_code == 422
    assert client.delete("/v1/rtc/nobody").status_code == 404
    assert client.post("/v1/rtc/nobody/interrupt").status_code == 404
    assert client.post("/v1/rtc/nobody/speech", content=b"x").status_code == 404
    assert client.post("/v1/rtc", json={"sdp": "x" * 70_000}).status_code == 422
    assert client.post("/v1/rtc", json={"sdp": "v=0", "type": "answer"}).status_code == 422
    sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 97\r\n"
    assert client.post("/v1/rtc", json={"sdp": sdp, "source": "footage"}).status_code == 404
    assert client.post("/v1/rtc", json={"sdp": sdp, "session": "x"}).status_code == 404
    assert client.post("/v1/rtc", content=b"{").status_code == 422
    assert set(client.get("/openapi.json").json()["paths"]) == {
        "/v1/rtc", "/v1/rtc/sources", "/v1/rtc/{viewer}", "/v1/rtc/{viewer}/interrupt", "/v1/rtc/{viewer}/speech",
    }  # fmt: skip


def test_speech_is_sent_as_a_file(tmp_path: Path) -> None:
    make_sound(tmp_path / "speech.wav", 1.0)
    hub = LampHub()
    app = FastAPI()
    app.include_router(rtc_router(hub))

    async def offer() -> str:
        viewer = Viewer()
        sdp = await viewer.offer()
        await viewer.close()
        return sdp

    with TestClient(app) as client:
        told = client.post("/v1/rtc", json={"sdp": asyncio.run(offer())}).json()
        assert (told["type"], told["width"], told["height"], told["delay_ms"]) == ("answer", WIDTH, HEIGHT, 160)
        place = f"/v1/rtc/{told['id']}"
        said = client.post(f"{place}/speech", content=(tmp_path / "speech.wav").read_bytes())
        assert said.json() == {"seconds": 1.0}
        wrong = client.post(f"{place}/speech", content=b"no sound at all" * 100)
        assert wrong.status_code == 415 and "kouxing-speech" not in wrong.text
        with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
            file.setparams((1, 2, 48_000, 0, "NONE", ""))
            file.writeframes(bytes(2))
        short = client.post(f"{place}/speech", content=(tmp_path / "speech.wav").read_bytes())
        assert short.status_code == 415
        assert client.post(f"{place}/interrupt").status_code == 204
        (row,) = client.get("/v1/rtc").json()
        assert row["viewers"] == 1 and "stream" not in row
        assert client.delete(place).status_code == 204
        client.portal.call(hub.close)  # type: ignore[union-attr]


def test_a_microphone_whose_codec_changes_is_heard_on() -> None:
    class Changing:
        """A second of Opus (48 kHz stereo), then one of PCMU (8 kHz mono)."""

        def __init__(self) -> None:
            self.frames = [(48_000, "stereo", 2)] * 50 + [(8_000, "mono", 1)] * 50

        async def recv(self) -> av.AudioFrame:
            if not self.frames:
                raise MediaStreamError
            rate, layout, channels = self.frames.pop(0)
            frame = av.AudioFrame.from_ndarray(np.full((1, rate // 50 * channels), 8192, np.int16), "s16", layout)
            frame.sample_rate = rate
            return frame

    async def heard() -> np.ndarray:
        return np.concatenate([part async for part in rtc_peer.microphone(Changing())])

    made = asyncio.run(heard())
    assert abs(len(made) - 2 * SAMPLE_HZ) < 200 and made[1000:15_000].min() > 0.2 and made[17_000:31_000].min() > 0.2


def test_sound_is_made_finer_alike_in_pieces_and_without_a_change_of_level() -> None:
    said = tone(0.5, 0.5)
    whole = Finer().push(said)
    pieces = Finer()
    made = np.concatenate([pieces.push(part) for part in np.split(said, [7, 320, 640, 5000])])
    np.testing.assert_allclose(made, whole, atol=1e-6)
    assert len(whole) == 3 * len(said)
    late = 16 * 3
    wanted = 0.5 * np.sin((np.arange(len(whole)) - late + 1) * 2 * np.pi * 500 / 48_000)
    assert np.abs(whole[500:-500] - wanted[500:-500]).max() < 0.02


def test_a_picture_keeps_its_samples_and_its_time() -> None:
    planes = np.random.default_rng(0).integers(16, 235, WIDTH * HEIGHT * 3 // 2).astype(np.uint8)
    frame = frame_of(Picture(7, memoryview(planes.tobytes()), WIDTH, HEIGHT))
    assert frame.pts * frame.time_base == 7 / 25 or frame.pts == 7 * 3600
    np.testing.assert_array_equal(frame.to_ndarray().reshape(-1), planes)
    assert BRIGHT > 100
