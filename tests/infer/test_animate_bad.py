"""What people really feed to ``animate``: one clear line and exit code 2, or a calm face; never half a file."""

from __future__ import annotations

import json
import socket
import struct
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fake_media import make_video
from kouxing.cli import app as cli
from kouxing.errors import MediaError, OptionError, OutputError
from kouxing.export import files
from kouxing.export.glb import read_glb, write_glb
from kouxing.export.json import to_json
from kouxing.export.livelink import to_csv
from kouxing.face.closure import CLOSED_DISTANCE, lip_distance
from kouxing.infer import animate as module
from kouxing.infer import animate_listen
from kouxing.infer.animate import animate
from kouxing.infer.animator import Animator
from kouxing.infer.mouth import Mouth
from kouxing.types import CoefficientTrack, Float
from kouxing.units import SAMPLE_HZ

HEAD = Path(module.__file__).parents[1] / "assets" / "head.glb"


def riff(size: int, rate: int, code: int, width: int) -> bytes:
    """A mono WAV's header that promises ``size`` bytes of sound."""
    form = struct.pack("<IHHIIHH", 16, code, 1, rate, rate * width, width, 8 * width)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + form + b"data" + struct.pack("<I", size)


def floats(path: Path, samples: np.ndarray, rate: int = SAMPLE_HZ) -> Path:
    """A float WAV that holds exactly these numbers."""
    data = np.asarray(samples, "<f4").tobytes()
    path.write_bytes(riff(len(data), rate, 3, 4) + data)
    return path


def long_wav(path: Path, seconds: int) -> Path:
    """Silence without a byte on the disk."""
    size = seconds * SAMPLE_HZ * 2
    with path.open("wb") as file:
        file.write(riff(size, SAMPLE_HZ, 1, 2))
        file.truncate(44 + size)
    return path


def tone(seconds: float = 1.0, rate: int = SAMPLE_HZ) -> np.ndarray:
    """A chord that comes and goes."""
    times = np.arange(round(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * hz * times) for hz in (220, 277, 330))
    return np.asarray(chord * (0.1 + 0.1 * np.sin(2 * np.pi * 2 * times)))


def spoiled(name: str, folder: Path) -> list[str]:
    """Words of a command with one mistake."""
    sound, out = str(floats(folder / "sound.wav", tone())), str(folder / "out.csv")
    plain = [sound, "-o", out, "--method", "mouth"]
    if name in ("nan", "inf", "unit"):
        holed = tone()
        holed[9000] = {"nan": np.nan, "inf": -np.inf, "unit": 32767.0}[name]
        floats(folder / "sound.wav", holed)
    elif name == "0 s":
        floats(folder / "sound.wav", np.zeros(0))
    elif name == "10 h":
        long_wav(folder / "sound.wav", 36_000)
    elif name == "0 bytes":
        (folder / "sound.wav").write_bytes(b"")
    elif name == "no sound":
        make_video(folder / "sound.mp4", frames=5)
        plain[0] = str(folder / "sound.mp4")
    elif name == "emotion":
        return [sound, "-o", out, "--emotion", "glad:0.5"]
    elif name == "strength":
        return [sound, "-o", out, "--emotion", "happy:nan"]
    elif name in ("bare glb", "no glb"):
        bare = read_glb(HEAD)
        for mesh in bare.document["meshes"]:
            mesh["extras"] = {"targetNames": [f"key{number}" for number in range(52)]}
        write_glb(folder / "bare.glb", bare)
        if name == "no glb":
            (folder / "bare.glb").write_bytes(b"solid head")
        return [sound, "-o", str(folder / "out.glb"), "--method", "mouth", "--avatar", str(folder / "bare.glb")]
    elif name in ("huge weight", "empty avatar", "twice by another name"):
        head = read_glb(HEAD)
        head.document["meshes"][0]["extras"]["targetNames"][0] = "mine"
        head.document["meshes"][0]["weights"] = [1e39] * 52
        write_glb(folder / "head.glb", head)
        if name == "empty avatar":
            (folder / "head.glb").write_bytes(b"")
        more = ["-o", str(folder / ".." / folder.name / "out.csv")] if name == "twice by another name" else []
        return [sound, "-o", out, *more, "-o", str(folder / "out.glb"), "--avatar", str(folder / "head.glb")]
    elif name == "huge angle":
        take = folder / "style.csv"
        take.write_text(b"".join(to_csv(CoefficientTrack(np.zeros((3, 52), np.float32)))).decode(), "utf-8")
        lines = take.read_text("utf-8").splitlines()
        lines[2] = ",".join([*lines[2].split(",")[:-1], "1e39"])
        take.write_text("\n".join(lines), "utf-8")
        return [sound, "-o", out, "--style", str(take)]
    elif name == "no language":
        return ["--text", "hello", "--language", "", "-o", out]
    elif name == "long text":
        return ["--text", "word " * 50_000, "-o", out]
    elif name == "long text on a sound":
        return [sound, "--text", "word " * 50_000, "-o", out]
    elif name == "over style":
        (folder / "style.csv").write_text("the only take", "utf-8")
        return [sound, "-o", str(folder / "style.csv"), "--style", str(folder / "style.csv"), "--force"]
    elif name in ("no frames", "ages"):
        take = json.loads(b"".join(to_json(CoefficientTrack(np.zeros((3, 52), np.float32)))))
        if name == "no frames":
            take["frames"] = []
        else:
            take["rate"] = "1/1000000000"
        (folder / "style.json").write_text(json.dumps(take), "utf-8")
        return [sound, "-o", out, "--style", str(folder / "style.json")]
    elif name == "subtitles":
        (folder / "words.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n", "utf-8")
        return ["--text", str(folder / "words.vtt"), "-o", out]
    elif name == "long name":
        return [sound, "-o", str(folder / "out.glb"), "--avatar", str(folder / f"{'a' * 300}.glb")]
    elif name == "twice":
        return [sound, "-o", out, "-o", str(folder / "b.csv"), "-o", str(folder / "b.csv")]
    elif name == "port":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        floats(folder / "sound.wav", tone(0.2))
        return [sound, "--method", "mouth", "--send", f"livelink://127.0.0.1:{port}"]
    return plain


BAD = {
    "nan": "damaged at 0.5",
    "inf": "damaged at 0.5",
    "unit": "from -1 to 1",
    "0 s": "0 s",
    "10 h": "longer than 3 hours; cut it into parts",
    "0 bytes": "empty",
    "no sound": "sound",
    "emotion": "no such emotion",
    "strength": "happy:nan",
    "bare glb": "no mesh with ARKit's morph targets",
    "no glb": "is no GLB file",
    "over style": "style.csv: is one of the inputs",
    "no frames": "holds not a single frame",
    "ages": "longer than 3 hours",
    "subtitles": "words.vtt: transcripts are read from",
    "long name": "cannot be read",
    "twice": "b.csv: the same file is named twice",
    "twice by another name": "out.csv: the same file is named twice",
    "huge weight": "head.glb is no valid glTF",
    "empty avatar": "head.glb is no GLB file",
    "huge angle": "style.csv line 3: a value is not a finite number",
    "no language": "--language: is empty",
    "long text": "too short for 200000 letters",
    "long text on a sound": "too short for 200000 letters",
    "port": "nobody listened there",
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_line_exit_2_and_no_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = spoiled(name, tmp_path)
    before = sorted(tmp_path.iterdir())
    assert cli.run(["animate", *words, "--json"]) == 2
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("kouxing: error: ") and BAD[name] in line and not told.out
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros(8000), 8000),
        (tone(rate=8000), 8000),
        (tone(rate=48_000), 48_000),
        (np.sign(tone()), SAMPLE_HZ),
        (8 * tone(), SAMPLE_HZ),
        (tone() * 1e-30, SAMPLE_HZ),
        (np.full(SAMPLE_HZ, 0.9), SAMPLE_HZ),
    ],
    ids=["silence", "music at 8 kHz", "music at 48 kHz", "square", "clipping", "denormal", "offset"],
)
def test_odd_sound_gives_a_sound_face(tmp_path: Path, samples: np.ndarray, rate: int) -> None:
    for method in ("mouth", "expression"):
        out = tmp_path / f"{method}.json"
        made = animate(floats(tmp_path / "sound.wav", samples, rate), out, method=method)
        rows = files.read(out).values
        assert made.rows == len(rows) == 60 and np.isfinite(rows).all() and rows.min() >= 0 and rows.max() <= 1
        if not np.any(np.abs(samples) > 1e-20):
            assert lip_distance(rows)[6:].max() < CLOSED_DISTANCE


def test_ten_hours_are_refused_before_any_memory_is_taken(tmp_path: Path) -> None:
    sound = long_wav(tmp_path / "long.wav", 36_000)
    tracemalloc.start()
    try:
        with pytest.raises(OptionError, match="longer than 3 hours"):
            animate(sound, tmp_path / "a.csv", method="mouth")
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


def test_a_stream_that_hides_its_length_is_stopped_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = 0

    def endless(source: Path, rate: int):  # type: ignore[no-untyped-def]
        nonlocal given
        while True:
            given += SAMPLE_HZ
            yield np.zeros(SAMPLE_HZ, np.float32)

    monkeypatch.setattr(animate_listen, "read_sound", endless)
    monkeypatch.setattr(animate_listen, "LONGEST_S", 5)
    sound = floats(tmp_path / "sound.wav", tone())
    with pytest.raises(OptionError, match="cut it into parts"):
        animate(sound, tmp_path / "a.csv", method="mouth")
    assert given == 6 * SAMPLE_HZ and not (tmp_path / "a.csv").exists()


class Counting:
    """A model that costs nothing: row i of 25 a second is i, of every column."""

    def __init__(self) -> None:
        self._heard = self._given = 0

    def push(self, samples: Float) -> Float:
        self._heard += len(samples)
        first, self._given = self._given, self._heard * 25 // SAMPLE_HZ
        return np.repeat((np.arange(first, self._given) % 2)[:, None].astype(np.float32), 52, 1)

    def finish(self) -> Float:
        return np.zeros((0, 52), np.float32)


def test_ten_hours_stream_in_constant_memory_and_in_time() -> None:
    animator, minute = Animator(Counting(), Fraction(25)), np.zeros(60 * SAMPLE_HZ, np.float32)
    animator.push(minute)
    rows = 0
    tracemalloc.start()
    try:
        rows = sum(len(animator.push(minute)) for _ in range(10 * 60 - 1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6
    assert animator.heard == 36_000
    # The last row waits for the input row behind it; nothing drifts.
    assert rows + 60 * 60 - 36_000 * 60 + len(animator.finish()) in range(-3, 4)


def test_the_mouths_stream_holds_no_more_after_twenty_seconds_than_after_one() -> None:
    def held(stream: object) -> int:
        arrays = [value for value in vars(stream).values() if isinstance(value, np.ndarray)]
        arrays += list(vars(stream)["_state"].values())
        return sum(array.nbytes for array in arrays)

    stream, second = Mouth(threads=1).stream(), np.zeros(SAMPLE_HZ, np.float32)
    stream.push(second)
    before = held(stream)
    for _ in range(20):
        stream.push(second)
    assert held(stream) == before


def test_files_stay_where_nobody_listens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    sound = floats(tmp_path / "sound.wav", tone(0.2))
    with pytest.raises(OutputError, match=r"nobody listened there.*the files are written"):
        animate(sound, tmp_path / "a.csv", method="mouth", send=f"vmc://127.0.0.1:{port}")
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + 12


def test_a_port_that_is_none_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load", lambda method: pytest.fail("a model was loaded"))
    sound = floats(tmp_path / "sound.wav", tone())
    for url in ("livelink://127.0.0.1:0", "livelink://127.0.0.1:70000", "vmc://no.such.host.invalid"):
        with pytest.raises(OptionError, match="--send"):
            animate(sound, method="mouth", send=url)


def test_samples_beyond_all_measure_name_their_place(tmp_path: Path) -> None:
    loud = tone()
    loud[8000] = 1e30
    with pytest.raises(MediaError, match=r"at 0\.50 s \(a sample of 1e\+30"):
        animate(floats(tmp_path / "sound.wav", loud), tmp_path / "a.csv", method="mouth")
