"""Rendered footage live: how many pictures a second, from sound to a viewer's decoded picture, and what they cost.

    python benchmarks/bench_rendered.py [--seconds 30] [--cores 2] [--codec vp8] [--no-write]
    python benchmarks/bench_rendered.py --skew 10        lips to sound in a real browser, minutes (needs Chromium and
                                                         PulseAudio: apt-get install chromium pulseaudio)

The footage is made here: scikit-image's astronaut, 512 pixels square, swaying, with grain. It speaks without a pause;
the viewer is a WebRTC peer in a process of its own on loopback. ``rendered_fps`` is what arrives there when the
stream's clock runs twice as fast as real time, so that all is done as fast as it goes; ``rendered_real_fps`` when it
runs in real time at 25 pictures a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import cv2
import numpy as np

from kouxing.media.colour import planes_from_rgb
from kouxing.media.reader import RGB_COLOUR, load_sound
from kouxing.media.writer import VideoWriter
from kouxing.server.render_stream import Clock, RenderedStream
from kouxing.types import VideoFrame
from kouxing.units import FRAME_HZ, SAMPLE_HZ

SIDE_PX = 512
GRAIN = 3.0
SWAY_PX = 8.0
FOOTAGE_S = 12
FAST = 2.0
SETTLE_S = 5.0
TRIES = 8
VOICE = Path(__file__).parents[1] / "src/kouxing/assets/demo-voice.flac"


def make_footage(path: Path) -> None:
    """The astronaut's face, swaying."""
    from skimage.data import astronaut

    face = astronaut()[0:288, 90:378]
    rng = np.random.default_rng(0)
    first = VideoFrame((np.zeros((2, 2), np.uint8),) * 3, 0, Fraction(1, FRAME_HZ), RGB_COLOUR)
    writer: VideoWriter | None = None
    for number in range(FOOTAGE_S * FRAME_HZ):
        turn = 2 * np.pi * number / (4 * FRAME_HZ)
        scale = SIDE_PX / face.shape[0] * (1 + 0.01 * np.sin(turn / 2))
        shift = (SIDE_PX - face.shape[1] * scale) / 2 + SWAY_PX * np.sin(turn)
        matrix = np.array([[scale, 0, shift], [0, scale, SWAY_PX / 2 * np.cos(2 * turn)]])
        shown = cv2.warpAffine(face, matrix, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REPLICATE)
        noise = rng.normal(0, GRAIN, (SIDE_PX, SIDE_PX, 1))
        image = np.clip(shown + noise, 0, 255).astype(np.uint8)
        frame = replace(first, planes=planes_from_rgb(image, RGB_COLOUR), pts=number)
        writer = writer or VideoWriter(path, like=frame, rate=Fraction(FRAME_HZ), crf=18)
        writer.write(frame)
    if writer is not None:
        writer.close()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The app on a free port of loopback; its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Memory that a process holds now (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def viewer(address: str, codec: str, seconds: float) -> dict[str, float]:
    """View a stream: decoded pictures a second after a while of settling; runs in a process of its own."""
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in ("video", "audio"):
        peer.addTransceiver(kind, direction="recvonly")
    came: dict[str, list[tuple[float, int]]] = {"video": [], "audio": []}

    async def take(track: Any) -> None:
        while True:
            frame = await track.recv()
            came[track.kind].append((time.monotonic(), frame.pts))

    tasks = []
    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(take(track))))
    await peer.setLocalDescription(await peer.createOffer())
    body = json.dumps({"sdp": peer.localDescription.sdp, "type": "offer", "codec": codec}).encode()
    request = Request(f"{address}/v1/rtc", body, {"content-type": "application/json"})
    answer = json.loads(await asyncio.to_thread(lambda: urlopen(request).read()))
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    print(answer["id"], flush=True)
    await asyncio.sleep(SETTLE_S)
    began, before = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    ended, used = time.monotonic(), time.process_time() - before
    shown = [pts for at, pts in came["video"] if began <= at < ended]
    for task in tasks:
        task.cancel()
    await peer.close()
    return {"fps": len(shown) / (ended - began), "viewer_ms": 1000 * used / max(len(shown), 1)}


async def run_once(folder: Path, codec: str, speed: float, seconds: float) -> dict[str, float]:
    """One viewer of footage that speaks all the time."""
    from fastapi import FastAPI

    from kouxing.server.rtc import RenderHub, RenderSettings, rtc_router

    hub = RenderHub(RenderSettings(footage=folder / "talk.mp4", keep=folder / "ready"), clock=Clock(speed))
    hub.prepare()
    app = FastAPI()
    app.include_router(rtc_router(hub))
    voice = load_sound(VOICE, SAMPLE_HZ).samples
    async with served(app) as address:
        child = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--viewer", address, codec, str(seconds), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        stream = hub.stream_of((await child.stdout.readline()).decode().strip())
        pid = stream._process.pid

        async def speak() -> None:
            while True:
                if stream.waiting_s < 20:
                    stream.push_sound(voice)
                await asyncio.sleep(0.2)

        speaking = asyncio.ensure_future(speak())
        await asyncio.sleep(SETTLE_S)
        counts, began = replace(stream.counts), (cpu_s(pid), time.process_time())
        memory = memory_mb(pid), memory_mb(os.getpid())
        told = json.loads((await child.stdout.read()).splitlines()[-1])
        made = max(stream.counts.pictures - counts.pictures, 1)
        found = {
            **told,
            "late": float(stream.counts.late - counts.late),
            "missing": float(stream.counts.missing - counts.missing),
            "picture_ms": 1000 * (stream.counts.work_s - counts.work_s) / made,
            "worker_core_ms": 1000 * (cpu_s(pid) - began[0]) / made,
            "server_core_ms": 1000 * (time.process_time() - began[1]) / made,
            "worker_mb": memory_mb(pid),
            "growth": (memory_mb(pid) + memory_mb(os.getpid())) / sum(memory),
        }
        speaking.cancel()
    await hub.close()
    await child.wait()
    return found


async def answers(folder: Path) -> dict[str, float]:
    """From a microphone's first sound to the stream's, and from an interruption to a closed mouth, without network."""
    from kouxing.server.footage import CLOSED, Pictures, load
    from kouxing.server.idle_loop import place
    from kouxing.server.speakers import FootagePlan

    ready = load(folder / "ready")
    closed = Pictures(ready.folder / CLOSED, ready.width, ready.height)
    stream = RenderedStream(FootagePlan(ready.folder))
    await stream.start()
    sound, pictures = stream.view("audio"), stream.view("video")
    voice = load_sound(VOICE, SAMPLE_HZ).samples[12_000:]
    piece = SAMPLE_HZ // 50
    delays, rests = [], []
    for _ in range(TRIES):
        began, quit_at, heard = time.monotonic(), 0.0, False

        async def speak(began: float) -> None:
            for number in range(len(voice) // piece):
                stream.push_sound(voice[number * piece : (number + 1) * piece], live=True)
                await asyncio.sleep(max(began + (number + 1) / 50 - time.monotonic(), 0))

        speaking = asyncio.ensure_future(speak(began))
        while not heard:
            heard = bool(np.abs((await sound.get()).samples).max() > 0)
        delays.append(time.monotonic() - began)
        await asyncio.sleep(1.5)
        speaking.cancel()
        quit_at = time.monotonic()
        stream.interrupt()
        while not pictures.empty():
            await pictures.get()
        while True:
            shown = await pictures.get()
            if bytes(shown.planes) == closed.raw(place(shown.number, ready.pictures)):
                break
        rests.append(time.monotonic() - quit_at)
        await asyncio.sleep(1.0)
        while not sound.empty():
            await sound.get()
    await stream.close()
    return {"delay": 1000 * float(np.median(delays)), "rest": 1000 * float(np.max(rests))}


def codec_ms(folder: Path) -> dict[str, float]:
    """Processor time to encode a picture of the footage, by aiortc's encoders."""
    import av
    from aiortc.codecs.h264 import H264Encoder
    from aiortc.codecs.vpx import Vp8Encoder

    found = {}
    for name, encoder in (("vp8", Vp8Encoder()), ("h264", H264Encoder())):
        with av.open(str(folder / "talk.mp4")) as film:
            frames = [frame.reformat(format="yuv420p") for frame in film.decode(video=0)][:150]
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number * 3600, Fraction(1, 90_000)
        began = time.process_time()
        for frame in frames:
            frame.pict_type = 0
            encoder.encode(frame)
        found[name] = 1000 * (time.process_time() - began) / len(frames)
    return found


def speeds(codec: str, seconds: float) -> dict[str, float]:
    """All figures of speed and memory."""
    with tempfile.TemporaryDirectory(prefix="kouxing-bench-") as name:
        folder = Path(name)
        make_footage(folder / "talk.mp4")
        real = asyncio.run(run_once(folder, codec, 1.0, seconds))
        print("real time:", json.dumps({key: round(value, 3) for key, value in real.items()}), flush=True)
        fast = asyncio.run(run_once(folder, codec, FAST, seconds))
        print("as fast as it goes:", json.dumps({key: round(value, 3) for key, value in fast.items()}), flush=True)
        coding = codec_ms(folder)
        soon = asyncio.run(answers(folder))
    return {
        "rendered_fps": fast["fps"],
        "rendered_real_fps": real["fps"],
        "rendered_late": real["late"],
        "rendered_missing": real["missing"],
        "rendered_core_ms": real["worker_core_ms"],
        "rendered_server_core_ms": real["server_core_ms"],
        "rendered_vp8_ms": coding["vp8"],
        "rendered_h264_ms": coding["h264"],
        "rendered_delay_ms": soon["delay"],
        "rendered_interrupt_ms": soon["rest"],
        "rendered_mb": real["worker_mb"],
        "rendered_growth": real["growth"],
    }


def main() -> int:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="measured, after some of settling")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--codec", choices=("vp8", "h264"), default="vp8")
    parser.add_argument("--skew", type=float, metavar="MINUTES", help="measure lips to sound in Chromium instead")
    parser.add_argument("--no-write", action="store_true", help="do not touch docs/figures/live.json")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    if options.skew:
        import skew

        found = skew.measure(options.skew)
        notes = f"{options.skew:g} minutes, Chromium without a window, PulseAudio's null sink, {options.cores} cores."
    else:
        found = speeds(options.codec, options.seconds)
        notes = f"{SIDE_PX} px square, {options.codec}, {options.seconds:g} s each, {options.cores} cores."
    print(json.dumps({key: round(value, 2) for key, value in found.items()}))
    if not options.no_write:
        from kouxing.eval import figures

        figures.write("live", shlex.join(["python", "benchmarks/bench_rendered.py", *sys.argv[1:]]), found, notes)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--viewer"]:
        print(json.dumps(asyncio.run(viewer(sys.argv[2], sys.argv[3], float(sys.argv[4])))))
        sys.exit(0)
    sys.exit(main())
