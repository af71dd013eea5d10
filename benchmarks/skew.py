"""Lips to sound at the terminal: a real Chromium plays a rendered stream; its sound is recorded where the loudspeaker
would be (the monitor of PulseAudio's null sink), its pictures are seen when they are presented.

The stream is footage that speaks; once a second it clicks, and a corner of the same picture is white. Both times are of
the system's clock. Positive: the sound is heard after the picture is seen. Beside it the same marks are played from a
file: what is left there is Chromium's (a picture waits for the next refresh of 60 a second) and the measurement's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from bench_rendered import SIDE_PX, make_footage, served
from chromium import chromium
from kouxing.server.render_stream import RenderedStream
from kouxing.server.rtc import RenderHub, RenderSettings, rtc_router
from kouxing.server.speakers import FootagePlan
from kouxing.types import Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

HEAR_HZ = 48_000
CLICK_HZ = 1000
LOUD = 2000
"""Samples (of 32,768) above this belong to a click."""
CORNER_PX = 64
NEAR_MS = 400.0
"""Flash and click further apart are not each other's."""
SETTLED_S = 30
CONTROL_S = 60


class Marked:
    """Footage with a corner that is white in the picture of a click, else black."""

    def __init__(self, plan: FootagePlan) -> None:
        self._inner = plan.make()
        self.ahead, self.width, self.height = self._inner.ahead, self._inner.width, self._inner.height
        self._clicks: set[int] = set()
        self._heard = 0
        self.begin, self.close = self._inner.begin, self._inner.close

    def hear(self, block: Float) -> None:
        if np.abs(block).max() > 0.1:
            self._clicks.add(self._heard)
        self._heard += 1
        self._inner.hear(block)

    def cut(self, number: int) -> None:
        self._clicks = {one for one in self._clicks if one < number}
        self._inner.cut(number)

    def picture(self, number: int) -> bytes:
        planes = np.frombuffer(bytearray(self._inner.picture(number)), np.uint8)
        luma = planes[: self.width * self.height].reshape(self.height, self.width)
        luma[:CORNER_PX, :CORNER_PX] = 235 if number in self._clicks else 16
        self._clicks.discard(number - 100)
        return planes.tobytes()


@dataclass(frozen=True)
class MarkedPlan:
    """Goes to the picture process."""

    plan: FootagePlan

    def make(self) -> Marked:
        return Marked(self.plan)


class Ear:
    """What the sink plays, with the time at which each piece was read."""

    def __init__(self, socket: Path) -> None:
        command = ["parec", "--server", f"unix:{socket}", "-d", "out.monitor", "--rate", str(HEAR_HZ), "--channels=1"]
        command += ["--format=s16le", "--latency-msec=10"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._clicks: list[int] = []
        self._stamps: list[tuple[int, float]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        """Keep places of clicks and arrival times, not the sound: ten minutes of it are much."""
        assert self._process.stdout is not None
        handle, count, rest, quiet = self._process.stdout.fileno(), 0, b"", 0
        while data := os.read(handle, 1 << 16):
            data, whole = rest + data, (len(rest) + len(data)) // 2 * 2
            samples, rest = np.frombuffer(data[:whole], "<i2"), data[whole:]
            loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > LOUD)
            for at in loud[np.concatenate([[True], np.diff(loud) > 1])] if len(loud) else []:
                if count + int(at) - quiet > HEAR_HZ // 4:
                    self._clicks.append(count + int(at))
                quiet = count + int(at)
            quiet = count + int(loud[-1]) if len(loud) else quiet
            count += len(samples)
            self._stamps.append((count, time.time()))

    def clicks_ms(self) -> Float:
        """When each click was played, on the system's clock."""
        self._process.terminate()
        self._thread.join(5)
        stamps = np.array(self._stamps)
        behind = stamps[:, 1] - stamps[:, 0] / HEAR_HZ
        made = []
        for click in self._clicks:
            # Pieces arrive now a little sooner, now later: the middle of two seconds tells.
            near = np.abs(stamps[:, 0] - click) < 2 * HEAR_HZ
            made.append(1000 * (click / HEAR_HZ + float(np.median(behind[near]))))
        return np.array(made)


@contextmanager
def loudspeaker(folder: Path) -> Iterator[Path]:
    """A PulseAudio of its own with a null sink; its socket."""
    if shutil.which("pulseaudio") is None or shutil.which("parec") is None:
        raise SystemExit("PulseAudio is needed: on Debian apt-get install pulseaudio pulseaudio-utils")
    socket = folder / "loudspeaker"
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"]
    command += ["-L", f"module-null-sink sink_name=out rate={HEAR_HZ} channels=2"]
    command += ["-L", f"module-native-protocol-unix auth-anonymous=1 socket={socket}"]
    home = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    process = subprocess.Popen(command, env=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if socket.exists():
                break
            time.sleep(0.1)
        yield socket
    finally:
        process.terminate()
        process.wait()


async def click(stream: RenderedStream, seconds: int) -> None:
    """A click a second, quiet speech-like hum between: the mouth has something to say all the time."""
    hum = 0.02 * np.sin(np.arange(SAMPLE_HZ) * 2 * np.pi * 180 / SAMPLE_HZ) * (1 + np.sin(np.arange(SAMPLE_HZ) / 900))
    second = hum.astype(np.float32)
    beep = np.sin(np.arange(SAMPLES_PER_FRAME) * 2 * np.pi * CLICK_HZ / SAMPLE_HZ)
    second[:SAMPLES_PER_FRAME] = 0.5 * beep
    for _ in range(seconds):
        stream.push_sound(second)
        while stream.waiting_s > 5:
            await asyncio.sleep(0.5)
    stream.end()
    await asyncio.sleep(stream.waiting_s + 3)


def make_film(path: Path, seconds: int) -> None:
    """A WebM with clicks and white corners, one a second, in step to the sample."""
    with av.open(str(path), "w") as film:
        pictures, sound = film.add_stream("libvpx", FRAME_HZ), film.add_stream("libopus", HEAR_HZ)
        pictures.width = pictures.height = 4 * CORNER_PX
        pictures.pix_fmt, pictures.options, sound.layout = "yuv420p", {"deadline": "realtime"}, "stereo"
        length = HEAR_HZ // FRAME_HZ
        beep = 0.5 * 32767 * np.sin(np.arange(length) * 2 * np.pi * CLICK_HZ / HEAR_HZ)
        for number in range(seconds * FRAME_HZ):
            marked = number % FRAME_HZ == FRAME_HZ // 2
            samples = np.repeat((beep * marked).astype(np.int16), 2)[None]
            heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            heard.sample_rate, heard.pts, heard.time_base = HEAR_HZ, number * length, Fraction(1, HEAR_HZ)
            planes = np.full((6 * CORNER_PX, 4 * CORNER_PX), 128, np.uint8)
            planes[: 4 * CORNER_PX] = 60 + number % FRAME_HZ
            planes[:CORNER_PX, :CORNER_PX] = 235 if marked else 16
            shown = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            shown.pts, shown.time_base = number, Fraction(1, FRAME_HZ)
            film.mux([*sound.encode(heard), *pictures.encode(shown)])
        film.mux([*sound.encode(), *pictures.encode()])


async def watched(folder: Path, seconds: int, footage: bool) -> dict[str, Any]:
    """Times of flashes and clicks, of ``footage`` that is streamed or of a film that is played."""
    from fastapi import FastAPI
    from fastapi.responses import FileResponse

    hub = RenderHub(RenderSettings(footage=folder / "talk.mp4", side_px=SIDE_PX, keep=folder / "ready"))
    app = FastAPI()
    app.get("/")(lambda: FileResponse(Path(__file__).with_name("skew.html")))
    app.get("/film.webm")(lambda: FileResponse(folder / "film.webm"))
    app.include_router(rtc_router(hub))
    if footage:
        make_footage(folder / "talk.mp4")
        hub.prepare()
        hub._plans["footage"] = MarkedPlan(hub._plans["footage"])  # type: ignore[arg-type,assignment]
    else:
        make_film(folder / "film.webm", seconds)
    counts = None
    with loudspeaker(folder) as socket:
        os.environ["PULSE_SERVER"] = f"unix:{socket}"
        ear = Ear(socket)
        async with served(app) as address, chromium() as page:
            await page.open(address)
            if footage:
                stream = hub.stream_of(await page.run("start()"))
                await click(stream, seconds)
                counts = stream.counts
            else:
                await page.run("film()")
                await asyncio.sleep(seconds + 1)
            told = json.loads(await page.run("told()"))
        told["clicks"] = ear.clicks_ms()
    await hub.close()
    return {**told, "counts": counts}


def skews(seconds: int, footage: bool) -> Float:
    """Milliseconds from each flash to its click."""
    with tempfile.TemporaryDirectory(prefix="kouxing-skew-", ignore_cleanup_errors=True) as name:
        told = asyncio.run(watched(Path(name), seconds, footage))
    seen, heard = np.array(told["seen"]), told["clicks"]
    nearest = np.array([heard[np.argmin(np.abs(heard - at))] - at for at in seen])
    skew = nearest[np.abs(nearest) < NEAR_MS]
    print(f"{len(seen)} flashes seen, {len(heard)} clicks heard, {len(skew)} pairs; {told['stats']}; {told['counts']}")
    print("sound after picture, ms, a value every 10 s:", np.round(skew[::10], 1).tolist(), flush=True)
    return skew


def measure(minutes: float) -> dict[str, float]:
    """The figures."""
    control = skews(CONTROL_S, footage=False)
    skew = skews(round(60 * minutes), footage=True)
    settled = skew[SETTLED_S:] if len(skew) > 2 * SETTLED_S else skew
    return {
        "skew_ms": float(np.percentile(np.abs(skew), 95)),
        "skew_median_ms": float(np.median(skew)),
        "skew_settled_ms": float(np.percentile(np.abs(settled), 95)),
        "skew_slope_ms": 60 * float(np.polyfit(np.arange(len(settled)), settled, 1)[0]),
        "skew_within": float(np.mean(np.abs(skew) <= 20)),
        "skew_pairs": float(len(skew)),
        "skew_minutes": minutes,
        "skew_control_ms": float(np.percentile(np.abs(control), 95)),
        "skew_control_median_ms": float(np.median(control)),
    }
