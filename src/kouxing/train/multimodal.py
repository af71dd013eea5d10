"""Train ``multimodal``: text, speech and mouth pictures, any of them -> one mouth (methods.md section 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kouxing import weights
from kouxing.arkit import PLACE
from kouxing.audio.features import frame_mels, log_mel
from kouxing.audio.file_ear import NAMES as EARS
from kouxing.audio.file_ear import FileEar
from kouxing.audio.front import NAME as FRONT
from kouxing.audio.front import Front
from kouxing.data import phone_sounds
from kouxing.data.animate import Take, load_takes
from kouxing.data.front import FrontSounds
from kouxing.data.mouths import load_mouths
from kouxing.data.multimodal import VERSIONS, Clip, MultimodalWindows, clips_of, text_of
from kouxing.data.multimodal_heard import Hearing, Version, versions_of
from kouxing.data.multimodal_sound import hissing
from kouxing.data.phone_ear import checksum, placed, transcripts
from kouxing.data.phones import PhoneClip, PhoneSound
from kouxing.data.pretrained import digest
from kouxing.data.sync import read_steps
from kouxing.data.taught import taught_takes
from kouxing.errors import DataError
from kouxing.eval.closure import Judged, judge, summary
from kouxing.face import geometry
from kouxing.face.closure import CLOSED_DISTANCE, TYPICAL_DISTANCE, distance_weights
from kouxing.face.mouth_light import even_light
from kouxing.losses.motion import correlation_loss, geometry_error
from kouxing.losses.multimodal import contrastive
from kouxing.models.multimodal import JOINS, Multimodal, MultimodalDimensions, MultimodalStep, Shared
from kouxing.models.speech import Listener
from kouxing.text.pronounce import Pronouncer
from kouxing.text.transcripts import Transcript
from kouxing.train import phone_ear
from kouxing.train.card import Source, about, changed, further_sources, inherited
from kouxing.train.export_multimodal import export_multimodal
from kouxing.train.loop import BEST, Batch, Figures, Schedule, load_tensors, read_config, train
from kouxing.train.mouth import load_expression, mouth_terms, spread, told_figures
from kouxing.train.origin import origin, tell_ears
from kouxing.types import Float
from kouxing.units import FRAME_HZ, MELS_PER_FRAME, SAMPLES_PER_FRAME

WEIGHTS = {
    "values": 0.6, "distance": 2.0, "velocity": 1.0, "correlation": 0.5, "closure": 4.0, "shut": 0.3, "silence": 0.5,
    "geometry": 1.0, "opening": 0.5, "contrastive": 0.2,
}  # fmt: skip
"""The loss table; the last only for the comparison with a shared space."""
FRAMES = 50
WORD_CLIPS, TAUGHT_CLIPS = 350, 160
"""Single words and synthesised utterances that are heard: so many are enough, and hearing costs time."""
TAUGHT_S = (1, 5)
SPEECH = ("heard", "trunk", "mel", "clear")
"""What speech is told by, in the order of the encoder's input."""
UNHEARD = ("eye",)
"""Channels that neither speech nor lips tell."""
PRESETS = {
    "multimodal": Schedule(steps=600, batch=24, rate=1e-3, warmup=50, validate_every=100, decay=0.05, ema=0.99),
}
CHOSEN = ((1, 1, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (0, 1, 1))
"""Subsets that choose on ``val``, in clean sound and, where there is sound, at 0 dB."""


@dataclass(frozen=True)
class HeldOut:
    """Clips to choose by, heard clean and in noise."""

    clips: list[Clip]
    clean: list[Version]
    noisy: list[Version]


@dataclass
class MultimodalTask:
    """Model, data and losses."""

    model: Multimodal
    windows: MultimodalWindows
    held_out: HeldOut
    spread: Float

    def __post_init__(self) -> None:
        self._distance = torch.from_numpy(distance_weights()) / TYPICAL_DISTANCE
        weight = 1 / np.maximum(self.spread, 0.05) ** 2
        weight[[place for name, place in PLACE.items() if name.startswith(UNHEARD)]] = 0
        self._importance = torch.from_numpy(weight.astype(np.float32))
        scale = geometry.basis()[1]
        self._scale = torch.from_numpy(scale / scale[0])
        self._opening = torch.from_numpy(geometry.opening_weights())

    def batch(self, number: int) -> Batch:
        batch = self.windows(number)
        order = np.random.default_rng([1, number]).permutation(3)
        return batch | {"order": torch.from_numpy(order)}

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        own = self.model
        seen = batch["heard"].new_zeros(*batch["heard"].shape[:2], own.dimensions.seen)
        if len(batch["shows"]):
            looked = own.looker(batch["pictures"].flatten(0, 1))
            seen = seen.index_copy(0, batch["shows"], looked.reshape(len(batch["shows"]), -1, own.dimensions.seen))
        speech = torch.cat([batch[name] for name in SPEECH], -1)
        features = own.features(batch["text"], speech, seen)
        joint = own.joint(features, batch["present"], batch["order"].tolist())
        values, shut, made = own.told(joint, batch["heard"], batch["present"])
        terms = mouth_terms(values, shut, batch, self._distance, self._importance)
        terms["geometry"] = geometry_error(made, batch["geometry"], batch["known"], self._scale.to(made.device))
        opening = self._opening.to(made.device)
        terms["opening"] = correlation_loss(made @ opening, batch["geometry"] @ opening, batch["known"])
        if isinstance(own.join, Shared):
            terms["contrastive"] = contrastive(own.join.drawn(features), batch["present"])
        loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
        figures = {f"multimodal/{name}": value.detach() for name, value in terms.items()}
        return loss, figures | {"multimodal/loss": loss.detach()}

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        figures: dict[str, float] = {}
        for there in CHOSEN:
            sounds = {"": self.held_out.clean} | ({"_0db": self.held_out.noisy} if there[1] else {})
            for name, versions in sounds.items():
                told = score(cast(Multimodal, model), self.held_out.clips, versions, there)
                figures |= {f"val/{_letters(there)}{name}_{key}": value for key, value in told.items()}
        kept = [value for name, value in figures.items() if np.isfinite(value)]
        return figures | {"score": float(np.mean(kept))}


def _letters(there: Sequence[int]) -> str:
    return "".join(letter for letter, one in zip("tsm", there, strict=True) if one)


def score(
    model: Multimodal, clips: Sequence[Clip], versions: Sequence[Version], there: Sequence[int]
) -> dict[str, float]:
    """Correlation of the lip distance and closure F1 by group, of clips that have all of the subset."""
    groups: dict[str, list[Judged]] = {}
    for clip, version in zip(clips, versions, strict=True):
        if (there[0] and clip.text is None) or (there[2] and clip.pictures is None):
            continue
        values = predict(model, clip, version, there)[0]
        take = clip.take
        groups.setdefault(take.group, []).append(judge(values, take.gap, take.silent, take.found, CLOSED_DISTANCE))
    return {f"{group}_{key}": summary(rows)[key] for group, rows in groups.items() for key in ("r", "f1")}


@torch.no_grad()
def predict(model: Multimodal, clip: Clip, version: Version, there: Sequence[int]) -> tuple[Float, Float, Float]:
    """Coefficients ``[T, 52]`` with lips that touch, geometry ``[T, 16]`` and mouth feature ``[T, D]`` of a clip."""
    model.eval()
    size, frames, device = model.dimensions, len(clip.take), next(model.parameters()).device
    said = text_of(clip, version, there)
    there = (int(said is not None), *there[1:])
    text = np.zeros((frames, size.text), np.float32) if said is None else said
    seen = torch.zeros(1, frames, size.seen, device=device)
    if there[2] and clip.pictures is not None:
        seen = model.looker(torch.from_numpy(even_light(clip.pictures, clip.take.found)).to(device))[None]
    given = [text, *(getattr(version, name).astype(np.float32) for name in SPEECH)]
    present = torch.tensor(there, dtype=torch.float32, device=device).expand(1, frames, -1)
    made = MultimodalStep(model)(*(torch.from_numpy(one)[None].to(device) for one in given), seen, present)
    return tuple(one[0].cpu().numpy() for one in made)


def main(
    data: Path,
    out: Path,
    *,
    speech: Path,
    expression: Path,
    texts: Path | None = None,
    joins: str = "modulation",
    device: str = "cpu",
    schedule: Schedule = PRESETS["multimodal"],
    report: Callable[[str], None] = print,
) -> Multimodal:
    """Train on ``data``'s train split; the same command resumes.

    First the phone network of the aligner (``out/ear``); what is heard is kept (``out/heard.npz``); then the model. It
    hears as dubs do, with the weights that are in use (``KOUXING_WEIGHTS`` or the shipped ones).

    Args:
        data: data folder.
        out: run folder; at the end it also holds the weights as ONNX with their cards.
        speech: run folder of the encoder that ``expression`` hears with, which also told who is in step.
        expression: run folder of ``train expression``, on log-mel, which says what has no face.
        texts: folder of transcripts in English, ``<clip id>.txt``, beside those that the data folder has.
        joins: how modalities meet; other ways than ``modulation`` are for comparison.
        device, schedule, report: see ``train.loop.train``.

    Raises:
        DataError: a run folder holds nothing.
    """
    if joins not in JOINS:
        raise ValueError(f"joins must be one of {JOINS}")
    # A teacher that does not fit is told before the minutes of hearing.
    load_expression(expression, speech)
    tell_ears(EARS, report)
    takes, held_out = load_takes(data, "train"), load_takes(data, "val")
    # Another way of joining is trained on the very same.
    ear_folder = out / "ear" if joins == "modulation" else out.parent / "multimodal" / "ear"
    ear = phone_ear.main(data, ear_folder, takes, held_out, texts=texts, device=device, report=report).cpu()
    clips, versions = prepare(
        data, takes, ear, speech=speech, expression=expression, texts=texts, folder=ear_folder.parent,
        seed=schedule.seed, report=report,
    )  # fmt: skip
    windows = MultimodalWindows(clips, versions, FRAMES, schedule.batch, schedule.seed)
    torch.manual_seed(schedule.seed)
    model = Multimodal(MultimodalDimensions(joins=joins))
    seen = [clip.take for clip in clips]
    task = MultimodalTask(model, windows, hold_out(data, held_out, ear, texts), spread(seen))
    config = {
        "model": "multimodal", "dimensions": model.dimensions.as_dict(), "weights": WEIGHTS, "clips": len(clips),
        "origin": origin(data, speech=speech, expression=expression),
        "heard": hearing_of(ear).digest, "texts": checksum(transcripts(data, takes, texts)),
    }  # fmt: skip
    best = cast(Multimodal, train(task, schedule, out, device, config, report))
    if joins == "modulation":
        words = [
            "kouxing train multimodal --data DATA --speech RUN --expression RUN2",
            *(["--texts TEXTS"] * bool(texts)),
        ]
        recipe = " ".join([*words, *changed(schedule, PRESETS["multimodal"]), "--out runs/multimodal"])
        ears = [source for name in EARS for source in weights.card(name)["data"]]
        save(best, ear, data, out, recipe, [*ears, *inherited(speech, expression, texts)])
    return best


def save(model: Multimodal, ear: Listener, data: Path, out: Path, recipe: str, parents: Sequence[Source]) -> None:
    """Export the models of run folder ``out`` into it, with their cards; see ``train.expression.save``."""
    units = {
        "text": "[1, T, 19] of text.rows, 25 Hz",
        "heard": "[1, T, 16] mouth geometry of audio.file_ear; of multimodal_ear: [1, T + 2 * reach, 288] of the front",
        "trunk": "[1, T, 320] of multimodal_ear",
        "mel": "[1, T, 80] mean of a video frame's four mels",
        "clear": "[1, T, 6] of audio.clearness", "seen": "[1, T, 96] of multimodal_mouth",
        "present": "[1, T, 3] 1 where text, speech, mouth picture are there",
        "pictures": "[T, 48, 64] grey, face.mouth_light", "log_probs": "[1, 4T, 16] of text.phones.MOUTHS, 100 Hz",
        "coefficients": "[1, T, 52] ARKit's, 0..1, 25 Hz", "geometry": "[1, T, 16] mouth geometry (face.geometry)",
        "joint": "[1, T, 96] the mouth feature",
    }  # fmt: skip
    told = about(data, recipe, units, told_figures(out), [*further_sources(data), *parents])
    told["front"] = weights.card(FRONT)["sha256"]
    export_multimodal(model, ear, told, out)


def prepare(
    data: Path, takes: list[Take], ear: Listener, *, speech: Path, expression: Path, folder: Path, seed: int,
    texts: Path | None = None, report: Callable[[str], None] = print,
) -> tuple[list[Clip], list[list[Version]]]:  # fmt: skip
    """Everything to learn from, heard."""
    rng = np.random.default_rng(seed)
    words = [take for take in takes if take.group == "words"]
    chosen = {id(words[place]) for place in rng.permutation(len(words))[:WORD_CLIPS]}
    usable = [take for take in takes if take.group in ("grid", "wild") or id(take) in chosen]
    said, classes, sounds = _said(data, usable, ear, texts)
    clips = clips_of(usable, load_mouths(data, "train"), classes, read_steps(speech))
    heard = [sounds.sound(clip.take.name, len(clip.take)) for clip in clips]
    for clip, sound in taught(data, expression, speech, rng, report):
        clips.append(clip)
        heard.append(sound)
    words_of = [said.get(clip.take.name) if clip.text is not None else None for clip in clips]
    versions = versions_of(heard, words_of, hearing_of(ear), VERSIONS, seed, folder / "heard.npz", report)
    ready = [
        clip if np.isfinite(clip.geometry).any() else replace(clip, geometry=version.heard.astype(np.float32))
        for clip, version in zip(clips, versions[0], strict=True)
    ]
    return ready, versions


def hearing_of(ear: Listener) -> Hearing:
    """How it is heard here and in use: as dubs hear, and by the phone network."""
    return Hearing(FileEar(threads=1), lambda rows: phone_ear.heard(ear, rows), digest(ear))


def _said(
    data: Path, takes: list[Take], ear: Listener, texts: Path | None
) -> tuple[dict[str, Transcript], dict[str, NDArray[np.int64]], FrontSounds]:
    """Transcripts of the takes whose words are known, their mouth classes where they are heard, and how they sound."""
    sounds, said = FrontSounds(data, Front()), transcripts(data, takes, texts)
    found = placed(phone_ear.hearing(ear), takes, said, sounds)
    return said, {name: one.classes for name, one in found.items()}, sounds


def taught(
    data: Path, expression: Path, speech: Path, rng: np.random.Generator, report: Callable[[str], None]
) -> list[tuple[Clip, Float]]:
    """Synthesised speech in many languages, with the coefficients that ``expression`` gives it, and its samples."""
    spoken = phone_sounds.load(data, report)
    if not spoken.made:
        raise DataError(f"{data}: no speech with phones; pip install 'kouxing[text]'")
    low, high = (seconds * FRAME_HZ for seconds in TAUGHT_S)
    fitting = [one for one in spoken.made if low <= len(one.classes) // MELS_PER_FRAME <= high]
    chosen = [fitting[place] for place in rng.permutation(len(fitting))[:TAUGHT_CLIPS]]
    named = [_clip(f"{place} {one.name}", one) for place, one in enumerate(chosen)]
    made = taught_takes(*load_expression(expression, speech), named)
    clips = clips_of(made, [], {clip.name: clip.classes for clip in named})
    samples = {clip.name: one.samples for clip, one in zip(named, chosen, strict=True)}
    return [(clip, samples[clip.take.name][: len(clip.take) * SAMPLES_PER_FRAME]) for clip in clips]


def _clip(name: str, one: PhoneSound) -> PhoneClip:
    return PhoneClip(name, frame_mels(log_mel(one.samples), len(one.classes) // MELS_PER_FRAME), one.classes)


def hold_out(data: Path, takes: list[Take], ear: Listener, texts: Path | None = None, split: str = "val") -> HeldOut:
    """Clips to choose by, as they are and with hiss as loud as the speech."""
    short = [take for take in takes if take.group == "words"][::3]
    chosen = [take for take in takes if take.group in ("grid", "wild")] + short
    said, classes, sounds = _said(data, chosen, ear, texts)
    clips = clips_of(chosen, load_mouths(data, split), classes)
    rng, hearing = np.random.default_rng(0), hearing_of(ear)
    clean, noisy = [], []
    with Pronouncer("en") as pronouncer:
        for clip in clips:
            sound, nowhere = sounds.sound(clip.take.name, len(clip.take)), np.zeros(len(clip.take), bool)
            words = said.get(clip.take.name) if clip.text is not None else None
            clean.append(hearing.hear(sound, nowhere, words, pronouncer))
            noisy.append(hearing.hear(hissing(sound, rng), nowhere, words, pronouncer))
    return HeldOut(clips, clean, noisy)


def load(run: Path) -> tuple[Multimodal, Listener]:
    """The model and the phone network of a run folder of ``main``.

    Raises:
        DataError: it holds none.
    """
    for path in (run / BEST, run / "ear" / BEST):
        if not path.exists():
            raise DataError(f"{run}: no trained multimodal ({path.name}); run `kouxing train multimodal --out {run}`")
    try:
        size = MultimodalDimensions(**read_config(run, "multimodal")["dimensions"])
    except TypeError as error:
        raise DataError(f"{run}: is no run of `kouxing train multimodal`; give its folder") from error
    model, ear = Multimodal(size), phone_ear.fresh()
    load_tensors(model, run / BEST)
    load_tensors(ear, run / "ear" / BEST)
    return model.eval(), ear.eval()
