"""``animate`` end to end with the shipped weights, and every user's mistake as one line."""

from __future__ import annotations

import csv
import json
import socket
import threading
import wave as riff
from pathlib import Path

import av
import numpy as np
import pytest

import kouxing
from fake_media import make_video
from kouxing.errors import DataError, KouxingError, MediaError, NoSoundError, OptionError, OutputError
from kouxing.export.glb import read_glb, write_glb
from kouxing.infer import animate as module
from kouxing.infer.animate import animate
from kouxing.media.aside import alone
from kouxing.media.metadata import read_mark

VOICE = Path(kouxing.__file__).parent / "assets" / "demo-voice.flac"


def wave(path: Path, samples: np.ndarray, rate: int = 16000) -> Path:
    """A mono WAV of float samples, written as they are."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], format="flt", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the bundled voice after half a second of silence."""
    with av.open(str(VOICE)) as container:
        resampler = av.AudioResampler("flt", "mono", 16000)
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    said = np.concatenate(parts)[: 2 * 16000]
    return wave(tmp_path_factory.mktemp("speech") / "said.wav", np.concatenate([np.zeros(8000), said]))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", ["mouth", "expression"])
def test_speech_moves_the_mouth_and_silence_does_not(tmp_path: Path, speech: Path, method: str) -> None:
    made = animate(speech, [tmp_path / "a.csv", tmp_path / "a.json"], method=method)
    assert made.rows == 150 and made.seconds == 2.5 and made.method == method
    rows = rows_of(tmp_path / "a.csv")
    assert len(rows) == 150 and rows[0]["BlendShapeCount"] == "61"
    jaw = np.array([float(row["JawOpen"]) - float(row["MouthClose"]) for row in rows])
    assert jaw[40:].max() > 0.08 and np.abs(jaw[:15]).max() < 0.05
    told = json.loads((tmp_path / "a.json").read_text())
    assert str(told).count("jawOpen") == 1


def test_emotion_changes_the_face_while_it_lasts(tmp_path: Path, speech: Path) -> None:
    animate(speech, tmp_path / "plain.csv")
    animate(speech, tmp_path / "happy.csv", emotion="happy@1s..")
    smiles = [
        np.array([float(row["MouthSmileLeft"]) for row in rows_of(tmp_path / name)])
        for name in ("plain.csv", "happy.csv")
    ]
    assert (smiles[1] - smiles[0])[100:].mean() > 0.02
    np.testing.assert_allclose(smiles[1][:40], smiles[0][:40], atol=0.02)


def test_the_bundled_head_is_animated(tmp_path: Path, speech: Path) -> None:
    animate(speech, tmp_path / "a.glb", method="mouth")
    told = read_glb(tmp_path / "a.glb").document
    assert len(told["animations"]) == 1
    assert {channel["target"]["path"] for channel in told["animations"][0]["channels"]} == {"weights"}


def test_a_preview_is_a_marked_video(tmp_path: Path, speech: Path) -> None:
    pytest.importorskip("panda3d", reason="kouxing[render] is not installed")
    animate(speech, tmp_path / "a.mp4", method="mouth")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].width == 512 and container.streams.audio
    mark = read_mark(tmp_path / "a.mp4")
    assert mark is not None and mark.endswith("trainedAlgorithmicMedia")


def test_explain_is_a_picture_as_long_as_the_speech(tmp_path: Path, speech: Path) -> None:
    import cv2

    animate(speech, explain=tmp_path / "heat.png", method="mouth")
    sheet = cv2.imread(str(tmp_path / "heat.png"))
    # Weights are coloured; axes and words are not.
    columns = np.flatnonzero((np.ptp(sheet, axis=2) > 30).any(0))
    assert columns[0] > 50 and columns[-1] - columns[0] + 1 == 3 * 63
    assert (sheet[:, : columns[0]] < 128).any() and (sheet[-30:] < 128).any()


def test_live_frames_arrive(speech: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        got: list[bytes] = []

        def listen() -> None:
            while len(got) < 100:
                got.append(receiver.recv(2048))

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        made = animate(speech, method="mouth", send=f"livelink://127.0.0.1:{receiver.getsockname()[1]}")
        listener.join(10)
    assert made.sent is not None and made.sent["frames"] + made.sent["late"] == 150 and len(got) == 100


def test_music_noise_and_clipping_are_no_trouble(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, samples in {
        "silence": np.zeros(16000),
        "clipped": np.sign(np.sin(np.arange(16000) / 9)) * 4,
        "noise": rng.normal(0, 0.3, 16000),
        "tiny": rng.normal(0, 0.3, 5),
    }.items():
        made = animate(wave(tmp_path / f"{name}.wav", samples), tmp_path / f"{name}.csv", method="mouth")
        assert made.rows == -(-len(samples) * 60 // 16000)
    rows = rows_of(tmp_path / "silence.csv")
    assert max(float(row["JawOpen"]) - float(row["MouthClose"]) for row in rows) < 0.05


def test_8_khz_stereo_video_sound_is_taken(tmp_path: Path) -> None:
    make_video(tmp_path / "clip.mp4", frames=30, sound_rate=8000)
    assert animate(tmp_path / "clip.mp4", tmp_path / "a.json", method="mouth").rows > 60


MISTAKES = [
    ({}, OptionError, "nothing to make"),
    ({"out": "a.bvh"}, OptionError, "end the name in .csv or .json or .glb or .mp4"),
    ({"out": "a.csv", "method": "lips"}, OptionError, "--method lips: choose one of expression, mouth"),
    ({"out": "a.csv", "emotion": "glad"}, OptionError, "no such emotion"),
    ({"out": "a.csv", "emotion": "happy", "method": "mouth"}, OptionError, "leave --emotion and --style out"),
    ({"out": "a.csv", "avatar": "bare.glb"}, OptionError, "is shown by .glb and .mp4 files alone"),
    ({"out": "a.csv", "language": "de"}, OptionError, "names the language of --text"),
    ({"out": "a.glb", "avatar": "none.glb"}, MediaError, "no such file"),
    ({"out": "a.glb", "avatar": "bare.glb"}, DataError, "no mesh with ARKit's morph targets"),
    ({"out": "nowhere/a.csv"}, OutputError, "does not exist"),
    ({"out": "there.csv"}, OutputError, "is there already"),
    ({"send": "http://x"}, OptionError, "not an address"),
    ({"send": "vmc://no.such.host.invalid"}, OptionError, "host is not known"),
    ({"explain": "a.png"}, OptionError, "--method mouth"),
    ({"out": "a.csv", "style": "bare.glb"}, DataError, "end the name in .csv or .json"),
]


@pytest.mark.parametrize(("options", "kind", "words"), MISTAKES, ids=[words for _, _, words in MISTAKES])
def test_mistakes(
    tmp_path: Path, speech: Path, monkeypatch: pytest.MonkeyPatch, options: dict, kind: type[KouxingError], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("mine")
    bare = read_glb(VOICE.with_name("head.glb"))
    for mesh in bare.document["meshes"]:
        mesh.pop("extras", None)
    write_glb(Path("bare.glb"), bare)
    with pytest.raises(kind, match=words) as caught:
        animate(speech, **options)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.glb", "there.csv"]
    assert Path("there.csv").read_text() == "mine"


def test_what_shows_nowhere_is_told(tmp_path: Path, speech: Path) -> None:
    silent = wave(tmp_path / "silent.wav", np.zeros(16000))
    assert animate(silent, tmp_path / "a.csv").warnings == (
        f"{silent}: no speech is heard in it, the mouth stays closed",
    )
    made = animate(speech, tmp_path / "b.csv", emotion=["happy@100s..200s", "sad@1s.."])
    assert made.warnings == (f"--emotion happy@100s: {speech} ends at 2.5 s, before it",)


def test_an_output_that_another_run_makes_is_refused_at_once(tmp_path: Path, speech: Path) -> None:
    with alone(tmp_path / "a.csv"), pytest.raises(OutputError, match="another job"):
        animate(speech, tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_broken_sound_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holed = np.zeros(16000)
    holed[8000] = np.nan
    with pytest.raises(MediaError, match=r"damaged at 0\.\d+ s"):
        animate(wave(tmp_path / "holed.wav", holed), tmp_path / "a.csv", method="mouth")
    with riff.open(str(tmp_path / "empty.wav"), "wb") as empty:
        empty.setparams((1, 2, 16000, 0, "NONE", ""))
    with pytest.raises(NoSoundError):
        animate(tmp_path / "empty.wav", tmp_path / "a.csv", method="mouth")
    monkeypatch.setattr(module, "LONGEST_S", 1)
    with pytest.raises(OptionError, match="cut it into parts"):
        animate(wave(tmp_path / "long.wav", np.zeros(32000)), tmp_path / "a.csv", method="mouth")
    assert not (tmp_path / "a.csv").exists()
