"""``multimodal`` in use, with small untrained weights that were exported on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile

torch = pytest.importorskip("torch")

from fake_media import make_sound, make_video  # noqa: E402
from kouxing.audio.front import WIDTH  # noqa: E402
from kouxing.audio.phone_ear import SPOKEN  # noqa: E402
from kouxing.cli import app as cli  # noqa: E402
from kouxing.errors import OptionError  # noqa: E402
from kouxing.export import files  # noqa: E402
from kouxing.face.geometry import opening, opening_direction  # noqa: E402
from kouxing.infer import multimodal, multimodal_animate, multimodal_dub  # noqa: E402
from kouxing.infer.multimodal import Made, Multimodal, check_lengths  # noqa: E402
from kouxing.infer.multimodal_animate import Joined, Modalities, join, speaking  # noqa: E402
from kouxing.infer.multimodal_dub import listen, plan_of, shaped  # noqa: E402
from kouxing.infer.multimodal_look import Looked, look  # noqa: E402
from kouxing.infer.multimodal_trust import MOST  # noqa: E402
from kouxing.text.phones import REST  # noqa: E402
from kouxing.units import SAMPLE_HZ  # noqa: E402
from shared import SHARED, needs_shared  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from kouxing.models.multimodal import Multimodal as Model
    from kouxing.models.multimodal import MultimodalDimensions
    from kouxing.models.speech import SpeechDimensions
    from kouxing.train.export_multimodal import export_multimodal
    from kouxing.train.phone_ear import fresh

    torch.manual_seed(0)
    ear = fresh(0, SpeechDimensions(bands=WIDTH, width=24, hidden=24, steps=1))
    model = Model(MultimodalDimensions(trunk=48, seen=8, width=16))
    made = tmp_path_factory.mktemp("weights")
    card = {"units": {}, "recipe": "", "commit": "", "data": [], "licence": "", "figures": {}}
    assert export_multimodal(model, ear, card, made) < 1e-3
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Multimodal:
    return Multimodal(threads=1, folder=folder)


def sound(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.normal(size=int(seconds * SAMPLE_HZ))).astype(np.float32)


def looked(frames: int) -> Looked:
    rng = np.random.default_rng(1)
    found = np.ones(frames, bool)
    found[3:6] = False
    return Looked(rng.integers(0, 255, (frames, 48, 64), dtype=np.uint8), found)


def test_every_subset_gives_a_row_a_frame(model: Multimodal) -> None:
    heard, classes = model.hear(sound(1.01)), np.arange(104) // 7 % 16
    assert len(heard) == 26
    for given, frames in (
        ({"sound": heard}, 26),
        ({"classes": classes}, 26),
        ({"looked": looked(25)}, 25),
        ({"sound": heard, "looked": looked(30), "classes": classes}, 30),
    ):
        made = model.make(**given)  # type: ignore[arg-type]
        assert made.coefficients.shape == (frames, 52) and made.geometry.shape == (frames, 16)
        assert np.isfinite(made.coefficients).all() and np.isfinite(made.joint).all()
    with pytest.raises(ValueError, match="give"):
        model.make()


def test_several_placements_are_one_text(model: Multimodal) -> None:
    classes = np.arange(104) // 7 % 16
    later = np.roll(classes, 8)
    alone, other = (model.make(classes=one).coefficients for one in (classes, later))
    both = model.make(classes=np.stack([classes, later])).coefficients
    same = model.make(classes=np.stack([classes, classes])).coefficients
    np.testing.assert_allclose(same, alone, atol=1e-5)
    assert both.shape == alone.shape and not np.allclose(both, alone) and not np.allclose(both, other)


def _made(model: Multimodal) -> Callable[..., Made]:
    return lambda classes, sound, looked: model.make(classes=classes, sound=sound, looked=looked)


def test_beside_a_text_clear_sound_counts_for_itself_and_noise_does_not(model: Multimodal) -> None:
    syllables = np.repeat(np.random.default_rng(0).random(30) > 0.4, SAMPLE_HZ // 10)
    clean, classes = 0.001 * sound(3) + sound(3) * syllables, np.arange(300) // 7 % 16
    for samples, most in ((clean, MOST), (sound(3), 0.0)):
        heard = model.hear(samples)
        given = {"sound": heard, "classes": classes}
        both, alone = model._join(classes, heard, None), model.make(sound=heard)
        made = model.make(**given)  # type: ignore[arg-type]
        wanted = both.coefficients + most * (alone.coefficients - both.coefficients)
        np.testing.assert_allclose(made.coefficients, wanted, atol=1e-5)
        assert np.array_equal(made.joint, both.joint)
    # Not where a mouth is seen.
    heard, pictures = model.hear(clean), looked(60)
    seen, joined = (make(classes, heard, pictures).geometry for make in (_made(model), model._join))
    found = np.append(pictures.found, np.zeros(15, bool))
    assert np.array_equal(seen[found], joined[found]) and not np.isclose(seen[~found], joined[~found]).all(1).any()


def test_somebody_speaks_where_enough_placements_say_so() -> None:
    several = np.full((8, 40), REST)
    several[:, 8:12], several[:3, 20:24], several[0, 32:36] = 5, 5, 5
    assert np.flatnonzero(speaking(several, None, 10)).tolist() == [2, 5]
    assert np.flatnonzero(speaking(several[0], None, 12)).tolist() == [2, 5, 8]
    assert speaking(several, None, 4).tolist() == [False, False, True, False]


def test_lost_sound_is_told(model: Multimodal) -> None:
    samples = sound(1.2)
    samples[SAMPLE_HZ // 2 : SAMPLE_HZ] = 0
    heard = model.hear(samples)
    assert heard.lost[55:95].all() and not heard.lost[:45].any()
    assert (heard.loud[55:95] < heard.loud[:45].min()).all()
    assert len(model.hear(samples[:0])) == 1


def test_parts_give_what_the_whole_gives(model: Multimodal, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, classes = model.hear(sound(6)), np.arange(600) // 9 % 16
    whole = model.make(sound=heard, classes=classes, looked=looked(150))
    monkeypatch.setattr(multimodal, "AT_ONCE", 40)
    monkeypatch.setattr(multimodal, "PICTURES_AT_ONCE", 17)
    parts = model.make(sound=heard, classes=classes, looked=looked(150))
    assert np.abs(whole.geometry - parts.geometry).max() < 1e-4
    assert np.abs(whole.coefficients - parts.coefficients).max() < 1e-4


def spoken(path: Path, seconds: float = 1.2) -> str:
    make_sound(path, seconds)
    return str(path)


@pytest.mark.parametrize("alone", [False, True])
def test_animate_takes_a_text_with_and_without_sound(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    pytest.importorskip("espeakng_loader")
    monkeypatch.setenv("KOUXING_WEIGHTS", str(folder))
    words = [] if alone else [spoken(tmp_path / "a.wav")]
    out = tmp_path / "out.csv"
    assert cli.run(["animate", *words, "--text", "bin blue", "-o", str(out), "--json"]) == 0
    rows = files.read(out).values
    assert np.isfinite(rows).all() and (len(rows) == 72 or alone) and len(rows) > 20


BAD = {
    "empty": (["--text", " , "], "no word"),
    "missing": (["--text", "missing.srt"], "cannot be read"),
    "language": (["--text", "bin", "--language", "xx-none"], "espeak-ng has no such voice"),
    "script": (["--text", "你好，世界"], "such as cmn"),
    "long": (["--text", "bin blue at f two now " * 60], "too short"),
    "method": (["--text", "bin", "--method", "mouth"], "leave those out"),
    "emotion": (["--text", "bin", "--emotion", "happy"], "leave those out"),
    "no face": (["--mouth-video", "{folder}/noise.mp4"], "shows no face"),
    "no video": (["--mouth-video", "{folder}/a.wav"], "is no video"),
    "no file": (["--mouth-video", "{folder}/b.mp4"], "b.mp4"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_line_exit_2_and_no_file(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader")
    monkeypatch.setenv("KOUXING_WEIGHTS", str(folder))
    sound_path = spoken(tmp_path / "a.wav")
    if name == "no face":
        make_video(tmp_path / "noise.mp4", frames=30)
    before = sorted(tmp_path.iterdir())
    words, told = BAD[name]
    words = [word.replace("{folder}", str(tmp_path)) for word in words]
    assert cli.run(["animate", sound_path, *words, "-o", str(tmp_path / "out.csv"), "--json"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("kouxing")]
    assert line.startswith("kouxing: error: ") and told in line
    assert sorted(tmp_path.iterdir()) == before


def test_a_text_alone_has_a_longest_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("espeakng_loader")
    cues = "1\n00:00:00,100 --> 00:00:00,900\nhello\n\n2\n99:59:58,000 --> 99:59:59,000\nsubtitles by x\n"
    (tmp_path / "far.srt").write_text(cues, encoding="utf-8")
    assert cli.run(["animate", "--text", str(tmp_path / "far.srt"), "-o", str(tmp_path / "out.csv"), "--json"]) == 2
    assert "at most 60" in capsys.readouterr().err and not (tmp_path / "out.csv").exists()


def test_nothing_to_go_by_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["animate", "-o", str(tmp_path / "out.csv"), "--json"]) == 2
    assert "give SPEECH" in capsys.readouterr().err


@needs_shared
def test_a_real_mouth_video_is_looked_at_at_25_a_second(folder: Path, tmp_path: Path) -> None:
    clip = SHARED / "data" / "clips" / "lipnet-brbk7n-4588.mp4"
    seen = look(clip)
    assert len(seen) == 75 and seen.found.all()
    made = Multimodal(threads=1, folder=folder).make(looked=seen)
    assert made.coefficients.shape == (75, 52)


def test_dub_paints_from_what_all_of_them_say(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader")
    monkeypatch.setenv("KOUXING_WEIGHTS", str(folder))
    path = Path(spoken(tmp_path / "a.wav", 1.01))
    words, warnings = listen(path, Modalities("bin blue"), lambda stage, done, total: None)
    assert (
        words.features.shape == (26, 16 + SPOKEN)
        and words.features[:, 16:].max() > 1
        and len(words.silent) == 26
        and not warnings
    )
    assert np.isfinite(words.features).all()
    one, other = (plan_of(Modalities(text)) for text in ("bin blue", "bin red"))
    assert one != other and plan_of(Modalities()) == {}


def test_near_lips_touch_and_rest_where_nobody_speaks() -> None:
    samples = np.concatenate([sound(0.4), np.zeros(int(0.4 * SAMPLE_HZ), np.float32)])
    geometry = np.zeros((20, 16), np.float32) + 3.0 * opening_direction()
    features, silent = shaped(geometry, np.arange(20) == 15, samples)
    assert silent.tolist() == [False] * 10 + [True] * 5 + [False] + [True] * 4
    # 3 px apart count as closed; where only the text speaks they do not rest, but touch all the same.
    assert np.abs(opening(features)[[0, 5, 15]]).max() < 3.0 and np.abs(features[12]).max() == 0 < features[15].max()


def test_quiet_speech_is_raised_before_it_is_joined(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[float] = []

    def joined(samples: np.ndarray, *rest: object) -> Joined:
        heard.append(float(np.abs(samples).max()))
        made = Made(np.zeros((25, 52), np.float32), np.zeros((25, 16), np.float32), np.zeros((25, 1), np.float32))
        return Joined(made, np.zeros(25, bool), 1.0, 0.0, (), np.zeros((25, SPOKEN), np.float32))

    monkeypatch.setenv("KOUXING_WEIGHTS", str(folder))
    monkeypatch.setattr(multimodal_dub, "join", joined)
    path = tmp_path / "quiet.wav"
    loud = 0.002 * np.sin(np.arange(SAMPLE_HZ) * 0.2) * (np.arange(SAMPLE_HZ) > SAMPLE_HZ // 2)
    scipy.io.wavfile.write(path, SAMPLE_HZ, loud.astype(np.float32))
    for even in (False, True):
        listen(path, Modalities("bin blue"), lambda stage, done, total: None, even)
    assert heard[0] == pytest.approx(0.002, rel=0.1) and heard[1] > 10 * heard[0]


def test_a_text_that_nobody_says_in_the_time_is_not_even_pronounced(
    model: Multimodal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(language: str) -> None:
        raise AssertionError(language)

    monkeypatch.setattr(multimodal_animate, "Pronouncer", never)
    with pytest.raises(OptionError, match=r"1\.50 s are too short for 1000 letters"):
        join(sound(1.5), Modalities("so " + "a" * 998 + " ... ..."), model)


def test_lengths_must_be_of_one_speech() -> None:
    check_lengths(3.0, 3.4, Path("a.mp4"))
    check_lengths(100.0, 101.9, Path("a.mp4"))
    with pytest.raises(OptionError, match="s long, the speech 3"):
        check_lengths(3.0, 5.0, Path("a.mp4"))
