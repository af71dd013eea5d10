"""Faces painted from the joint mouth feature beside those of ``lips`` from sound alone, by the judge of ``lips``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kouxing.data.manifest import Clip, read_manifest
from kouxing.eval.judge import fit, own_rows
from kouxing.eval.multimodal_sound import over
from kouxing.eval.redub import Scene, Studio
from kouxing.eval.sync_corrupt import noise
from kouxing.infer.multimodal import Multimodal
from kouxing.infer.multimodal_animate import phones_said, speaking
from kouxing.infer.multimodal_dub import shaped
from kouxing.infer.multimodal_look import Looked
from kouxing.infer.parts import shipped
from kouxing.text.align import PLACEMENTS, align, same
from kouxing.text.pronounce import Pronouncer
from kouxing.text.transcripts import Transcript
from kouxing.types import Float

MEASURES = ("r", "sharpness", "psnr_db", "lmd")
NOISY_DB = 0.0


def face_figures(
    data: Path, split: str, words: dict[str, Transcript], looked: dict[str, Looked], model: Multimodal, count: int,
    out: Path, done: Callable[[int, int], None] | None = None,
) -> dict[str, float]:  # fmt: skip
    """Dub some clips with their own speech: by ``lips`` alone, and with text, and with text and mouth pictures.

    Args:
        data, split: whose clips. words: what is said. looked: mouth pictures. model: ``multimodal``.
        count: clips with known words, spread over the split.
        out: folder for tracks.
        done: called with (clips done, clips in all).

    Returns:
        Median of each measure for each way; ``vs_lips``: sharpness and PSNR over those of ``lips``, the lower ratio.
    """
    clips = sorted((clip for clip in read_manifest(data, split) if clip.id in words), key=lambda clip: clip.id)
    chosen = [clips[at * len(clips) // count] for at in range(min(count, len(clips)))]
    studio = Studio(shipped(), "fast")
    rows: list[dict[str, float]] = []
    with Pronouncer("en") as pronouncer:
        for number, clip in enumerate(chosen, 1):
            scene = studio.load(data, clip, out / "tracks" / f"{clip.id}.npz")
            rows.append(_judged(scene, clip, words[clip.id], looked[clip.id], model, studio, pronouncer))
            if done:
                done(number, len(chosen))
    return _figures(rows)


def _judged(
    scene: Scene, clip: Clip, words: Transcript, looked: Looked, model: Multimodal, studio: Studio,
    pronouncer: Pronouncer,
) -> dict[str, float]:  # fmt: skip
    seed = np.random.default_rng(0)
    noisy = over(scene.samples, noise, NOISY_DB, seed)
    ways = {
        "lips": fit(studio.hear(scene.samples), len(scene)),
        "text_sound": _features(model, scene.samples, words, None, pronouncer),
        "text_sound_mouth": _features(model, scene.samples, words, looked, pronouncer),
        "lips_0db": fit(studio.hear(noisy), len(scene)),
        "text_sound_0db": _features(model, noisy, words, None, pronouncer),
    }
    told: dict[str, float] = {}
    for name, features in ways.items():
        made = studio.redub(scene, fit(features, len(scene)))
        row = own_rows("own", scene, made, studio.follow(made))
        told |= {f"face_{measure}_{name}": float(row[f"own_{measure}"]) for measure in MEASURES}
    return told


def _features(
    model: Multimodal, samples: Float, words: Transcript, looked: Looked | None, pronouncer: Pronouncer
) -> Float:
    """What ``dub`` paints from (``infer.multimodal_dub``)."""
    sound = model.hear(samples)
    found = align(sound.phones.log_probs, words, pronouncer, sound.lost, PLACEMENTS, sound.loud)
    classes = found.several if same(found) else None
    made = model.make(classes=classes, sound=sound, looked=looked)
    frames = len(made.geometry)
    features = np.concatenate([made.geometry, phones_said(classes, sound, frames)], 1)
    return shaped(features, speaking(classes, looked, frames), samples)[0]


def _figures(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    if not rows:
        return {}
    told = {name: float(np.nanmedian([row[name] for row in rows])) for name in rows[0]}
    ratios = [told[f"face_{one}_text_sound"] / told[f"face_{one}_lips"] for one in ("sharpness", "psnr_db")]
    return {"face_clips": float(len(rows)), "vs_lips": min(ratios), **told}
