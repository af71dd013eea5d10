"""Media for the tests of the page, made by code of scikit-image's astronaut photo.

python media.py webcam FILE.mjpeg     what a webcam sees: she moves about, comes nearer and tilts her head
python media.py talk FILE.mp4         4.4 seconds of her with the bundled demo's voice
python media.py voice FILE.wav        that voice again and again, for a minute
"""

import sys
import wave
from fractions import Fraction
from importlib.resources import as_file, files
from pathlib import Path

import av
import cv2
import numpy as np
from skimage.data import astronaut

FACE = (0, 60, 300, 360)
"""y0, x0, y1, x1 of head and shoulders in the photo."""
TILT_DEGREES = 14.0


def seen(share: float, size: tuple[int, int]) -> np.ndarray:
    """RGB picture at ``share`` (0..1) of a movement that ends where it began."""
    width, height = size
    y0, x0, y1, x1 = FACE
    turn = np.sin(2 * np.pi * share)
    scale = height / (y1 - y0) * (1 + 0.12 * np.sin(4 * np.pi * share))
    move = cv2.getRotationMatrix2D(((x0 + x1) / 2, (y0 + y1) / 2), TILT_DEGREES * turn, scale)
    move[:, 2] += (width / 2 - (x0 + x1) / 2 + 30 * turn, height / 2 - (y0 + y1) / 2)
    return cv2.warpAffine(astronaut(), move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def webcam(path: Path, frames: int = 120) -> None:
    with path.open("wb") as file:
        for number in range(frames):
            picture = cv2.cvtColor(seen(number / frames, (640, 480)), cv2.COLOR_RGB2BGR)
            file.write(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def talk(path: Path, frames: int = 110, side: int = 256) -> None:
    with (
        as_file(files("kouxing") / "assets" / "demo-voice.flac") as voice,
        av.open(voice) as spoken,
        av.open(path, "w") as made,
    ):
        video = made.add_stream("libx264", 25, options={"crf": "20", "preset": "veryfast"})
        video.width = video.height = side
        video.pix_fmt = "yuv420p"
        sound = made.add_stream("aac", spoken.streams.audio[0].rate)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(seen(0.25 * number / frames, (side, side)), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            made.mux(video.encode(frame))
        for frame in spoken.decode(audio=0):
            if float(frame.time) > frames / 25:
                break
            frame.pts = None
            made.mux(sound.encode(frame))
        made.mux(video.encode())
        made.mux(sound.encode())


def voice(path: Path, seconds: int = 60) -> None:
    with as_file(files("kouxing") / "assets" / "demo-voice.flac") as file, av.open(file) as spoken:
        rate = spoken.streams.audio[0].rate
        resampler = av.AudioResampler("s16", "mono", rate)
        frames = [made for frame in spoken.decode(audio=0) for made in resampler.resample(frame)]
    once = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.resize(once, seconds * rate).astype("<i2").tobytes())


if __name__ == "__main__":
    {"webcam": webcam, "talk": talk, "voice": voice}[sys.argv[1]](Path(sys.argv[2]))
