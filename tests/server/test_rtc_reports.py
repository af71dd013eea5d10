"""Sender reports: sound and picture of one time are told one NTP time; and what the viewer's page makes of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from types import SimpleNamespace
from typing import Any

import aiortc.rtcrtpsender
import numpy as np
import pytest
from aiortc.rtp import RtcpSrPacket

from kouxing.server.render_stream import RenderedStream
from kouxing.server.rtc import PAGE
from kouxing.server.rtc_peer import Ice, Peer
from rendered_world import LampPlan, Viewer, blocks, until

NTP_HZ = 1 << 32
HZ = {"video": 90_000, "audio": 48_000}


class Attentive(Viewer):
    """Notes reports as (NTP, RTP) times."""

    def __init__(self) -> None:
        super().__init__()
        self.reports: dict[str, list[tuple[int, int]]] = {"video": [], "audio": []}
        self.receivers: dict[str, Any] = {one.kind: one.receiver for one in self.peer.getTransceivers()}
        for kind in HZ:
            self._listen(kind)

    def _listen(self, kind: str) -> None:
        report = self.receivers[kind]._handle_rtcp_packet

        async def reported(told: Any) -> None:
            if isinstance(told, RtcpSrPacket):
                self.reports[kind].append((told.sender_info.ntp_timestamp, told.sender_info.rtp_timestamp))
            await report(told)

        self.receivers[kind]._handle_rtcp_packet = reported

    def lines(self, kind: str) -> np.ndarray:
        """For each report the NTP second of the time from which the receiver counts its frames' times."""
        first = self.receivers[kind]._RTCRtpReceiver__timestamp_mapper._origin
        known = [one for one in self.reports[kind] if one[0]]
        base = self.reports["video"][-1][0]
        late = [(rtp - first + (1 << 31)) % (1 << 32) - (1 << 31) for _, rtp in known]
        return np.array([(ntp - base) / NTP_HZ - rtp / HZ[kind] for (ntp, _), rtp in zip(known, late, strict=True)])


@pytest.mark.parametrize("waits", [0.0, 0.5])
def test_equal_media_times_are_told_equal_ntp_times(monkeypatch: pytest.MonkeyPatch, waits: float) -> None:
    # Ten reports a second instead of one.
    monkeypatch.setattr(aiortc.rtcrtpsender, "random", SimpleNamespace(random=lambda: -0.4))

    async def scene() -> None:
        stream = RenderedStream(LampPlan())
        await stream.start()
        await asyncio.sleep(waits)
        viewer = Attentive()
        peer = Peer("one", stream, Ice(), None, lambda peer: None)
        await viewer.answered(await peer.answer(await viewer.offer()))
        pictures, sound = viewer.frames["video"], viewer.frames["audio"]
        await until(lambda: len(pictures) > 3)
        stream.push_sound(blocks(0.6))
        stream.end()
        await until(lambda: any(frame.to_ndarray()[0, 0] > 150 for frame in pictures))
        await until(lambda: any(np.abs(frame.to_ndarray()).max() > 3000 for frame in sound))
        await until(lambda: min(len(one) for one in viewer.reports.values()) >= 12)
        lines = {kind: viewer.lines(kind) for kind in HZ}
        # Of each track all reports tell the same line, to a sample.
        assert max(np.ptp(one) for one in lines.values()) < 1e-4
        bright = next(frame for frame in pictures if frame.to_ndarray()[0, 0] > 150)
        loud = next(frame for frame in sound if np.abs(frame.to_ndarray()).max() > 3000)
        within = int(np.flatnonzero(np.abs(loud.to_ndarray()[0, ::2]) > 3000)[0])
        seen = lines["video"][-1] + bright.pts / HZ["video"]
        heard = lines["audio"][-1] + (loud.pts + within) / HZ["audio"]
        # Opus smears the beginning of a tone a little.
        assert abs(heard - seen) < 0.003
        await viewer.close()
        await peer.close()
        await stream.close()

    asyncio.run(asyncio.wait_for(scene(), 60))


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("most", [60, 140])
def test_the_page_brings_the_picture_to_the_sound(most: int) -> None:
    """``most``: the delay that the browser itself gives pictures, in the end. Sound is heard 40 ms after its buffer."""
    script = """
      const {move} = await import("data:text/javascript," + encodeURIComponent(process.argv[1]));
      const least = {picture: 80, sound: 60}, told = [];
      for (let turn = 0, creeping = 60, sound = 130; turn < 300; turn++) {
        creeping = Math.min(creeping + 1, Number(process.argv[2]));
        // The sound's delay moves only when it leaves its range, and slowly.
        const low = Math.max(least.sound + 5 - sound, 0), high = Math.max(sound - least.sound - 25, 0);
        sound += Math.min(low, 20) - Math.min(high, 20);
        const picture = Math.max(least.picture, creeping), early = picture - sound - 40;
        told.push(early);
        move(least, early, picture - 15);
      }
      console.log(JSON.stringify({told, least}));
    """
    command = ["node", "--input-type=module", "-e", script, (PAGE / "step.js").read_text(), str(most)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    assert abs(found["told"][0]) > 50 and max(map(abs, found["told"][30:])) < 15
    assert max(found["least"].values()) < max(most, 125) + 20
