"""A rendered stream as WebRTC tracks: exact times, 48 kHz sound for Opus, pictures for H.264 or VP8."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.codecs import h264, vpx
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray
from scipy.signal import firwin

from kouxing.server.footage import COLOUR
from kouxing.server.render_stream import HALF, Picture, RenderedStream, Sound
from kouxing.types import Float
from kouxing.units import FRAME_HZ, FRAME_S, SAMPLE_HZ, exact

OPUS_HZ = 48_000
FINER = exact(OPUS_HZ, SAMPLE_HZ)
TAPS = 32
"""Input samples that an output sample is made of: it comes half of them (1 ms) late."""
OPUS_LATE = 312
"""Samples (6.5 ms) by which libopus answers later than it is asked; WebRTC's receivers do not take them off."""
RTP_HZ = 90_000
BITRATE, MOST_BITRATE = 1_800_000, 4_000_000
"""Skin and hair of a face at 512 pixels smear at aiortc's 500 kbit/s; viewers who have less tell so (REMB)."""
PICTURE_STEP = exact(RTP_HZ, FRAME_HZ)


# Read by the encoders as they are made; aiortc has no other way to set them.
vpx.DEFAULT_BITRATE = h264.DEFAULT_BITRATE = BITRATE
vpx.MAX_BITRATE = h264.MAX_BITRATE = MOST_BITRATE


class Finer:
    """16 kHz -> 48 kHz in blocks; in one piece or in many, the output is the same."""

    def __init__(self) -> None:
        taps = firwin(TAPS * FINER, 0.95 / FINER, window=("kaiser", 8.0)) * FINER
        self._phases = taps.reshape(TAPS, FINER)[::-1].astype(np.float32)
        self._before = np.zeros(TAPS - 1, np.float32)

    def push(self, samples: Float) -> Float:
        """``[N]`` samples -> ``[3 N]``."""
        held = np.concatenate([self._before, samples])
        self._before = held[len(held) - TAPS + 1 :]
        windows = np.lib.stride_tricks.sliding_window_view(held, TAPS)
        return np.asarray((windows @ self._phases).reshape(-1), np.float32)


class SoundTrack(MediaStreamTrack):
    """What a stream says, 20 ms at a time; times in samples at 48 kHz from the stream's beginning."""

    kind = "audio"
    rtp_hz = OPUS_HZ
    late = OPUS_LATE + TAPS // 2 * FINER
    given = 0

    def __init__(self, stream: RenderedStream) -> None:
        super().__init__()
        self._stream = stream
        self._viewing = stream.view("audio")
        self._finer = Finer()

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms. Raises: MediaStreamError at the stream's end."""
        sound: Sound | None = None if self.readyState != "live" else await self._viewing.get()
        if sound is None:
            self.stop()
            raise MediaStreamError
        made = np.clip(self._finer.push(sound.samples) * 32767, -32768, 32767)
        both: NDArray[Any] = np.repeat(np.rint(made).astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(both, format="s16", layout="stereo")
        frame.sample_rate = OPUS_HZ
        frame.time_base = Fraction(1, OPUS_HZ)
        frame.pts = self.given = sound.tick * HALF * FINER
        return frame

    def stop(self) -> None:
        """No more of it."""
        self._stream.leave(self._viewing)
        self._viewing.put(None)
        super().stop()


class PictureTrack(MediaStreamTrack):
    """What a stream shows; times in 1/90,000 s from the stream's beginning. A picture that was late is left out."""

    kind = "video"
    rtp_hz = RTP_HZ
    late = 0
    given = 0

    def __init__(self, stream: RenderedStream) -> None:
        super().__init__()
        self._stream = stream
        self._viewing = stream.view("video")

    async def recv(self) -> av.VideoFrame:
        """The next picture. Raises: MediaStreamError at the stream's end."""
        picture: Picture | None = None if self.readyState != "live" else await self._viewing.get()
        if picture is None:
            self.stop()
            raise MediaStreamError
        frame = frame_of(picture)
        assert frame.pts is not None
        self.given = frame.pts
        return frame

    def stop(self) -> None:
        """No more of it."""
        self._stream.leave(self._viewing)
        self._viewing.put(None)
        super().stop()


def frame_of(picture: Picture) -> av.VideoFrame:
    """PyAV's frame, at its exact time; one for each viewer, for encoders write into it."""
    rows = np.frombuffer(picture.planes, np.uint8).reshape(picture.height * 3 // 2, picture.width)
    frame = av.VideoFrame.from_ndarray(rows, format=COLOUR.pixel_format)
    frame.pts = picture.number * PICTURE_STEP
    frame.time_base = Fraction(1, RTP_HZ)
    return frame


assert FRAME_S / Fraction(1, RTP_HZ) == PICTURE_STEP
