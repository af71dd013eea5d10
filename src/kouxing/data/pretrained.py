"""Whisper, HuBERT and wav2vec 2.0 from files on disk (optional: ``pip install 'kouxing[pretrained]'``), and what they
hear in takes.

Weights are read from safetensors only: a pickle may hold any program. Nothing is fetched unless that is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from kouxing.data import augment
from kouxing.data.animate import Take
from kouxing.data.heard import PIECE, Heard
from kouxing.errors import DataError, OptionError
from kouxing.models.pretrained_speech import PretrainedDimensions, PretrainedEncoder, window_of
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME

KINDS = {"whisper": "WhisperModel", "hubert": "HubertModel", "wav2vec2": "Wav2Vec2Model"}
"""Model types in ``config.json`` -> classes of ``transformers``."""
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
MISSING = "is not installed; run: pip install 'kouxing[pretrained]'"
WHISPER_HOP = 160
"""Samples from one of Whisper's mel frames to the next; its convolutions halve them."""
NOISE_DB = (0.0, 30.0)
GAIN_DB = 12.0


def load_encoder(name: str, *, layer: int = -1, download: bool = False) -> PretrainedEncoder:
    """A pretrained speech encoder.

    Args:
        name: a folder as ``transformers`` writes it (``config.json``, ``model.safetensors``), or a public name such as
            ``openai/whisper-tiny``, which must lie in the local cache already; ``KIND:`` may stand before it
            (``whisper:/models/tiny``), and ``@REVISION`` behind a public name.
        layer: hidden layer to take, 0 (under the first) to the number of layers; -1 the last, after its norm.
        download: fetch a public name that is not in the cache. Give a commit as revision to be sure what comes.

    Raises:
        OptionError: ``transformers`` is not installed, no such kind or layer, or a public name that is not here.
        DataError: the folder is no such model.
    """
    if find_spec("transformers") is None:
        raise OptionError(f"--encoder {name}: transformers {MISSING}")
    kind, place, revision = _parts(name)
    folder = Path(place)
    if folder.is_dir():
        _check(folder)
    elif "\\" in place or place.startswith((".", "/", "~")) or place.count("/") != 1:
        raise DataError(f"--encoder {name}: no such folder; give one with config.json and model.safetensors")
    import transformers

    transformers.utils.logging.disable_progress_bar()
    where: dict[str, Any] = {"local_files_only": not download, "revision": revision}
    try:
        config = transformers.AutoConfig.from_pretrained(place, **where)
        found = str(config.model_type)
        if found not in KINDS:
            raise DataError(f"--encoder {name}: is a model of type {found}; {', '.join(KINDS)} are understood")
        if kind is not None and kind != found:
            raise DataError(f"--encoder {name}: is a model of type {found}, not {kind}")
        model = getattr(transformers, KINDS[found]).from_pretrained(place, use_safetensors=True, **where)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if folder.is_dir() or download:
            raise DataError(f"--encoder {name}: cannot be read ({_line(error)})") from error
        raise OptionError(
            f"--encoder {name}: no such folder, and not in the local cache; give a folder, or allow --download"
        ) from error
    return wrap(model, layer=layer, normalise=_normalises(folder), name=name)


def wrap(model: nn.Module, *, layer: int = -1, normalise: bool = False, name: str = "encoder") -> PretrainedEncoder:
    """A loaded model of ``transformers`` (``WhisperModel``, ``HubertModel``, ``Wav2Vec2Model``) behind our clock.

    Args:
        model: it. layer: see ``load_encoder``. normalise: as its ``preprocessor_config.json`` says.
        name: for errors.

    Raises:
        OptionError: no such layer.
    """
    config: Any = model.config
    kind = str(config.model_type)
    layers = int(config.encoder_layers if kind == "whisper" else config.num_hidden_layers)
    if not -1 <= layer <= layers:
        raise OptionError(f"--layer {layer}: {name} has layers 0 to {layers}, or -1 for the last")
    if kind == "whisper":
        step = 2 * WHISPER_HOP
        window = int(config.max_source_positions) * step
        size = PretrainedDimensions(kind, int(config.d_model), step, 0, window, layer)
        return PretrainedEncoder(model.get_encoder(), size, _whisper_mels(int(config.num_mel_bins), window))  # type: ignore[operator]
    step, field = int(prod(config.conv_stride)), 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        field = (field - 1) * stride + kernel
    size = PretrainedDimensions(kind, int(config.hidden_size), step, field, window_of(), layer, normalise)
    return PretrainedEncoder(model, size)


def _whisper_mels(bands: int, window: int) -> Callable[[Tensor], Tensor]:
    from transformers import WhisperFeatureExtractor

    seconds = window / SAMPLE_HZ
    extractor = WhisperFeatureExtractor(feature_size=bands, chunk_length=seconds, hop_length=WHISPER_HOP)

    def mels(samples: Tensor) -> Tensor:
        told = extractor(
            [row.cpu().numpy() for row in samples], sampling_rate=SAMPLE_HZ, return_tensors="pt", padding="max_length"
        )
        return torch.as_tensor(told["input_features"]).to(samples)

    return mels


def _parts(name: str) -> tuple[str | None, str, str]:
    """``KIND:PLACE@REVISION`` -> (kind or None, place, revision)."""
    kind, colon, place = name.partition(":")
    # A single letter before the colon is a Windows drive.
    if not colon or len(kind) == 1:
        kind, place = "", name
    if kind and kind not in KINDS:
        raise OptionError(f"--encoder {name}: {kind} is none of {', '.join(KINDS)}")
    if not place:
        raise OptionError(f"--encoder {name}: name a folder or a public model behind the colon")
    if Path(place).is_dir():
        return kind or None, place, "main"
    place, _, revision = place.partition("@")
    return kind or None, place, revision or "main"


def _check(folder: Path) -> None:
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder}: has no config.json; give the folder of a model that transformers wrote") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / 'config.json'}: cannot be read ({_line(error)})") from error
    if not isinstance(told, dict) or "model_type" not in told:
        raise DataError(f"{folder / 'config.json'}: tells no model_type; give the folder of a speech model")
    if not any((folder / weights).is_file() for weights in WEIGHTS):
        raise DataError(f"{folder}: has no model.safetensors; other formats are not read, convert it first")


def _normalises(folder: Path) -> bool:
    """Whether the model wants samples of zero mean and unit spread; its own default is yes."""
    try:
        told = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return bool(told.get("do_normalize", True)) if isinstance(told, dict) else True


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def digest(encoder: nn.Module) -> str:
    """SHA-256 of the tensors, so that a run tells what it was trained with."""
    told = hashlib.sha256()
    for name, value in sorted(encoder.state_dict().items()):
        told.update(name.encode())
        told.update(np.ascontiguousarray(value.detach().cpu().numpy()).tobytes())
    return told.hexdigest()


def hear_with(
    encoder: PretrainedEncoder,
    takes: list[Take],
    sounds: list[Float],
    versions: int,
    seed: int,
    report: Callable[[str], None] = print,
) -> list[Heard]:
    """``data.heard.hear_takes`` with a pretrained encoder: every take as it is and in ``versions - 1`` changed ones.

    It hears sound, not our mel, so the sound is changed: tempo (with pitch), level, noise or another voice behind it.

    Args:
        encoder: see ``load_encoder``.
        takes: what is heard. sounds: their samples ``[N] float32`` at ``SAMPLE_HZ``, in the same order.
        versions, seed: see above. report: where progress lines go.
    """
    rng = np.random.default_rng(seed)
    device = next(encoder.parameters()).device
    report(f"hearing {len(takes)} takes in {versions} versions with {encoder.dimensions.kind}")
    made = []
    for version in range(versions):
        for place, take in enumerate(takes):
            columns = (take.values, take.gap, take.closed, take.silent, take.found)
            rows, sound = np.column_stack(columns).astype(np.float32), _fitted(sounds[place], len(take))
            if version:
                sound, rows = changed(sound, rows, sounds[rng.integers(len(sounds))], rng)
            features = encoder(torch.from_numpy(sound)[None].to(device))[0].half().cpu().numpy()
            for first in range(0, len(rows), PIECE):
                near = slice(first, first + PIECE)
                made.append(Heard(place, features[near].copy(), rows[near]))
    return made


def changed(sound: Float, rows: Float, other: Float, rng: augment.Rng) -> tuple[Float, Float]:
    """Another recording of the same: ``[T * SAMPLES_PER_FRAME]`` and ``[T', C]`` that fit each other.

    Args:
        sound: ``[T * SAMPLES_PER_FRAME]``. rows: ``[T, C]``.
        other: another speech, any length. rng: source of chance.
    """
    frames = max(2, round(len(rows) / rng.uniform(0.88, 1.14)))
    places = np.linspace(0, len(sound) - 1, frames * SAMPLES_PER_FRAME)
    said = np.interp(places, np.arange(len(sound)), sound)
    rows = augment.resample(rows, frames)
    noise = np.resize(other, len(said)) if len(other) and rng.random() < 0.4 else rng.normal(0, 1, len(said))
    level, floor = np.sqrt(np.mean(said**2)) + 1e-6, np.sqrt(np.mean(noise**2)) + 1e-6
    said = said + noise * level / floor * 10 ** (-rng.uniform(*NOISE_DB) / 20)
    said = said * 10 ** (rng.uniform(-GAIN_DB, GAIN_DB / 2) / 20)
    return np.clip(said, -1, 1).astype(np.float32), rows


def _fitted(sound: Float, frames: int) -> Float:
    """Cut or padded with silence to ``frames`` video frames."""
    wanted = frames * SAMPLES_PER_FRAME
    return np.pad(sound[:wanted], (0, max(0, wanted - len(sound)))).astype(np.float32)
