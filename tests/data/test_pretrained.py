"""Whisper, HuBERT and wav2vec 2.0 as ears: tiny random models made here, saved and read back as anybody's would be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="kouxing[pretrained] is not installed")

from kouxing.data import pretrained  # noqa: E402
from kouxing.data.animate import Take  # noqa: E402
from kouxing.data.pretrained import changed, hear_with, load_encoder  # noqa: E402
from kouxing.errors import DataError, KouxingError, OptionError  # noqa: E402
from kouxing.models.pretrained_speech import PretrainedEncoder, pool  # noqa: E402
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME  # noqa: E402

SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "conv_dim": (8,) * 7,
    "feat_extract_norm": "layer",
}  # fmt: skip
KINDS = ("whisper", "hubert", "wav2vec2")


def save(kind: str, folder: Path, seconds: int = 4) -> Path:
    """A random model of ``kind`` as ``transformers`` writes it."""
    torch.manual_seed(0)
    if kind == "whisper":
        config = transformers.WhisperConfig(
            d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, decoder_layers=1,
            decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=64, max_source_positions=seconds * 50,
            max_target_positions=16, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        )  # fmt: skip
        model = transformers.WhisperModel(config)
    elif kind == "hubert":
        model = transformers.HubertModel(transformers.HubertConfig(**SMALL))
    else:
        model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SMALL))
    model.save_pretrained(folder)
    # Without it the level of the whole window changes every frame.
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {kind: save(kind, root / kind) for kind in KINDS}


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * SAMPLE_HZ)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_features_come_at_video_frames(folders: dict[str, Path], kind: str) -> None:
    encoder = load_encoder(f"{kind}:{folders[kind]}")
    assert encoder.dimensions.kind == kind and encoder.dimensions.step == 320
    for samples in (1, SAMPLES_PER_FRAME, 2 * SAMPLE_HZ + 1):
        heard = encoder(torch.from_numpy(noise(3)[:samples])[None])
        assert heard.shape == (1, -(-samples // SAMPLES_PER_FRAME), 16) and torch.isfinite(heard).all()
    assert not any(one.requires_grad for one in encoder.parameters())
    assert not encoder.train().training


@pytest.mark.parametrize("kind", KINDS)
def test_a_click_is_heard_where_it_is(folders: dict[str, Path], kind: str) -> None:
    encoder = load_encoder(str(folders[kind]), layer=0)
    quiet = torch.from_numpy(noise(2) * 1e-3)[None]
    loud = quiet.clone()
    frame = 23
    loud[0, frame * SAMPLES_PER_FRAME : (frame + 1) * SAMPLES_PER_FRAME] += 0.5 * torch.sin(torch.arange(640.0))
    # Under the first layer nothing attends yet: the change is local.
    change = (encoder(loud) - encoder(quiet)).abs().sum(-1)[0]
    assert abs(int(change.argmax()) - frame) <= 1


def test_long_speech_is_heard_in_windows(folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders["whisper"]))
    sound = torch.from_numpy(noise(11))[None]
    heard = encoder(sound)
    assert heard.shape[1] == 11 * 25
    # A window's middle is the same wherever its neighbours were cut.
    alone = encoder(sound[:, : 4 * SAMPLE_HZ])
    torch.testing.assert_close(heard[:, :74], alone[:, :74])


def test_samples_are_normalised_where_the_model_says_so(folders: dict[str, Path], tmp_path: Path) -> None:
    for path in folders["hubert"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "preprocessor_config.json").unlink()
    sound = torch.from_numpy(noise(1))[None]
    plain, scaled = load_encoder(str(folders["hubert"])), load_encoder(str(tmp_path))
    assert scaled.dimensions.normalise and not plain.dimensions.normalise
    torch.testing.assert_close(scaled(sound), scaled(5 * sound + 0.1), atol=1e-3, rtol=1e-3)
    assert not torch.allclose(plain(sound), plain(5 * sound + 0.1), atol=1e-3)


def test_pool_keeps_the_clock() -> None:
    times = pool(100, 50, 320, 160.0) @ (torch.arange(100) * 320.0 + 160)
    torch.testing.assert_close(times[1:-1], (torch.arange(50)[1:-1] + 0.5) * SAMPLES_PER_FRAME)
    torch.testing.assert_close(pool(100, 50, 320, 0.0).sum(1), torch.ones(50))


def test_layers_differ_and_wrong_ones_are_named(folders: dict[str, Path]) -> None:
    sound = torch.from_numpy(noise(1))[None]
    first, last = (load_encoder(str(folders["hubert"]), layer=layer)(sound) for layer in (1, -1))
    assert not torch.allclose(first, last)
    with pytest.raises(OptionError, match="layers 0 to 2"):
        load_encoder(str(folders["hubert"]), layer=7)


def take(name: str, frames: int) -> Take:
    rng = np.random.default_rng(frames)
    return Take(
        name=name, group="grid", speaker=name, mel=np.zeros((frames * 4, 80), np.float32),
        values=rng.random((frames, 52), np.float32), channels=np.ones(52, bool),
        gap=rng.random(frames).astype(np.float32), silent=np.zeros(frames, bool), found=np.ones(frames, bool),
    )  # fmt: skip


def test_hear_with_fills_the_places_of_our_own_ears(folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders["wav2vec2"]))
    takes, sounds = [take("a", 30), take("b", 300)], [noise(1), noise(12.5)]
    heard = hear_with(encoder, takes, sounds, 2, 0, lambda _: None)
    plain = heard[:3]
    assert [(one.take, len(one.rows)) for one in plain] == [(0, 30), (1, 250), (1, 50)]
    for one in heard:
        assert one.features.shape == (len(one.rows), 16) and one.features.dtype == np.float16
    np.testing.assert_array_equal(plain[0].rows[:, :52], takes[0].values)
    assert {one.take for one in heard[3:]} == {0, 1}


def test_changed_sound_and_rows_still_fit() -> None:
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 1, 50, dtype=np.float32)[:, None]
    sound = np.repeat(rows[:, 0], SAMPLES_PER_FRAME) * np.sin(np.arange(50 * SAMPLES_PER_FRAME) / 3).astype(np.float32)
    for _ in range(4):
        made, moved = changed(sound, rows, noise(1), rng)
        assert len(made) == len(moved) * SAMPLES_PER_FRAME and np.abs(made).max() <= 1
        level = np.sqrt((made.reshape(len(moved), -1) ** 2).mean(1))
        assert np.corrcoef(level, moved[:, 0])[0, 1] > 0.3


def broken(folder: Path, kind: str) -> str:
    """A folder (or name) with a fault."""
    if kind == "bare":
        folder.mkdir()
        return str(folder)
    if kind == "absent":
        return str(folder)
    if kind == "public":
        return "nobody/no-such-model-here"
    if kind == "kind":
        return f"whisper:{save('hubert', folder)}"
    if kind == "unknown":
        return f"bark:{folder}"
    save("hubert", folder)
    config = folder / "config.json"
    if kind == "type":
        config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": "bert"}))
    elif kind == "json":
        config.write_text("{")
    elif kind == "pickle":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif kind == "damaged":
        (folder / "model.safetensors").write_bytes(b"\0" * 64)
    return str(folder)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("bare", DataError, "has no config.json"),
        ("absent", DataError, "no such folder"),
        ("public", OptionError, "--download"),
        ("kind", DataError, "of type hubert, not whisper"),
        ("unknown", OptionError, "bark is none of whisper, hubert, wav2vec2"),
        ("type", DataError, "of type bert; whisper, hubert, wav2vec2 are understood"),
        ("json", DataError, "config.json: cannot be read"),
        ("pickle", DataError, "has no model.safetensors"),
        ("damaged", DataError, "cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, error: type[KouxingError], words: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    with pytest.raises(error, match=words) as caught:
        load_encoder(broken(tmp_path / "model", kind))
    assert "\n" not in str(caught.value)


def test_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'kouxing\[pretrained\]'"):
        load_encoder(str(tmp_path))


def test_whisper_needs_its_mel(folders: dict[str, Path]) -> None:
    encoder = load_encoder(str(folders["hubert"]))
    with pytest.raises(ValueError, match="log-mel"):
        PretrainedEncoder(encoder.model, encoder.dimensions, lambda samples: samples)
    with pytest.raises(ValueError, match=r"\[B, N\]"):
        encoder(torch.zeros(5))
