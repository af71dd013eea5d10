"""One clip before the judge: every way of dubbing it is made, tracked anew and measured.

A row is a flat dict of plain numbers and lists, so that it can be kept as JSON and taken up again; keys are
``<way>_<measure>``. Ways: ``self`` (its own speech), ``cross`` (speech of another clip of its part), ``wrong``
(unrelated speech, held against its own mouth), ``copy`` and ``truth`` (baselines), ``low`` and ``high`` (``MOUTHS``);
``real`` is the clip as it is, ``chance`` its mouth with unrelated speech, ``old`` a dub made before (``judge_older``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from kouxing.audio.silence import frame_levels, silent_frames
from kouxing.data.manifest import Clip
from kouxing.eval import metrics, steadiness, texture
from kouxing.eval.expert import Expert
from kouxing.eval.redub import CopyReference, GroundTruth, Scene, Studio
from kouxing.face import geometry
from kouxing.face.crop import apply
from kouxing.face.mask import mask, placed
from kouxing.types import Bool, Bytes, FaceTrack, Float, VideoFrame
from kouxing.units import CROP_PX, FRAME_HZ, HALF_PX, SAMPLE_HZ

Row = dict[str, Any]

MOUTHS = {"low": 0.6, "mid": 1.0, "high": 1.4}
"""Mouth-opening coefficients whose openings are compared."""
MOUTH_FRAMES = 3 * FRAME_HZ
"""The mouth-opening test and the wrong speech need no whole clip: a mean and a correlation near 0 settle early."""
PICTURE_STEP = 3
"""Sharpness, PSNR and SSIM are measured on every so many frames."""
SHEET_COLUMNS = 8
SHEET_PX = 160


@dataclass(frozen=True)
class Spoken:
    """Speech that a face is to say.

    Attributes:
        clip: where it is from.
        samples: ``[N] float32`` at ``SAMPLE_HZ``.
        aperture: ``[T]``, the real mouth that said it.
        mouths: ``[T, D]``, that mouth as the sync discriminator sees it.
    """

    clip: Clip
    samples: Float
    aperture: Float
    mouths: Float


def speech_of(scene: Scene, expert: Expert) -> Spoken:
    """A clip's own speech and mouth."""
    return Spoken(scene.clip, scene.samples, metrics.aperture(scene.track), expert.look(scene, scene.frames))


def judge_clip(
    scene: Scene, own: Spoken, cross: Spoken | None, wrong: Spoken | None, studio: Studio, expert: Expert
) -> tuple[Row, Bytes]:
    """Measure what one network makes of a clip.

    Args:
        scene: the face.
        own: its own speech.
        cross: speech of another clip of the same part; None where the part has one speaker only.
        wrong: speech that has nothing to do with the clip; None where there is none.
        studio: with the network that is judged.
        expert: the sync discriminator.

    Returns:
        The row, and the clip's strip for the contact sheet: ``[3 * SHEET_PX, SHEET_COLUMNS * SHEET_PX, 3]`` with
        the real frames, own speech and other speech under each other.
    """
    threshold = metrics.closed_threshold(own.aperture)
    features = fit(studio.hear(scene.samples), len(scene))
    made = studio.redub(scene, features)
    track = studio.follow(made)
    row = {**_orientation(own, features), **own_rows("self", scene, made, track)}
    row |= _silence("self", track, own, threshold) | _flicker_rows(scene, {"self": made})
    row |= expert.lse("self", expert.look(scene, made), scene.samples)
    crossed: list[VideoFrame] = []
    if cross:
        crossed = studio.redub(scene, studio.hear(cross.samples)[: len(cross.aperture)])
        track_crossed = studio.follow(crossed)
        row |= _speech_rows("cross", track_crossed, cross, threshold)
        row["cross_drift"] = _mean(steadiness.drift(track_crossed, scene.track))
        row |= expert.lse("cross", expert.look(scene, crossed), cross.samples)
        # Over as many frames: the fewer there are, the clearer the best lag stands out by chance.
        row |= expert.lse("cross_real", cross.mouths[: len(crossed)], cross.samples)
    if wrong:
        row["wrong_r"] = _wrong(scene, own, studio.hear(wrong.samples)[: len(wrong.aperture)], studio)
    return row, _strip(scene, made, crossed)


def judge_baselines(scene: Scene, own: Spoken, wrong: Spoken | None, studio: Studio, expert: Expert) -> Row:
    """Measure what no network's weights change: the real clip, and a copied and the real mouth in the network's place.

    Arguments as for ``judge_clip``.
    """
    row: Row = {
        "id": scene.clip.id,
        "part": scene.clip.part,
        "speaker": scene.clip.speaker,
        "language": scene.clip.language,
        "frames": len(scene),
        "closed_threshold": metrics.closed_threshold(own.aperture),
        "real_aperture": _listed(own.aperture),
    }
    still = np.zeros((len(scene), geometry.GEOMETRY), np.float32)
    ways = {"real": list(scene.frames)}
    for name, baseline in (("copy", CopyReference()), ("truth", GroundTruth())):
        ways[name] = studio.redub(scene, still, baseline)
        row |= own_rows(name, scene, ways[name], studio.follow(ways[name]))
    row |= _silence("truth", scene.track, own, row["closed_threshold"]) | _flicker_rows(scene, ways)
    row |= expert.lse("real", own.mouths, scene.samples)
    row |= expert.lse("copy", expert.look(scene, ways["copy"]), scene.samples)
    row["late"] = expert.late(scene, own.mouths)
    if wrong:
        row |= expert.lse("chance", own.mouths, wrong.samples)
    return row


def judge_opening(scene: Scene, studio: Studio) -> Row:
    """Mean aperture at every mouth-opening coefficient, on the same frames."""
    features = fit(studio.hear(scene.samples), len(scene))
    opened = {
        name: metrics.aperture(studio.follow(studio.redub(scene, features, mouth=mouth, most=MOUTH_FRAMES)))
        for name, mouth in MOUTHS.items()
    }
    common = np.all([np.isfinite(values) for values in opened.values()], 0)
    return {f"{name}_opening": _mean(values[common]) for name, values in opened.items()}


def judge_older(scene: Scene, frames: list[VideoFrame], studio: Studio) -> Row:
    """A dub of the clip with its own speech that was made before, frame for frame, under the name ``old``.

    Raises:
        ValueError: other numbers of frames, or another size or format.
    """
    return own_rows("old", scene, frames, studio.follow(frames))


def fit(features: Float, frames: int) -> Float:
    """Exactly ``frames`` rows: cut, or the last row held (sound and picture of a file seldom end together)."""
    if len(features) >= frames:
        return features[:frames]
    if len(features) == 0:
        return np.zeros((frames, geometry.GEOMETRY), np.float32)
    return np.concatenate([features, np.repeat(features[-1:], frames - len(features), 0)])


def _listed(values: Float) -> list[float | None]:
    """JSON knows no NaN."""
    return [round(float(v), 5) if np.isfinite(v) else None for v in values]


def _orientation(own: Spoken, features: Float) -> Row:
    """What loudness alone and the speech encoder's own geometry know of the real aperture."""
    frames = len(own.aperture)
    levels = frame_levels(own.samples, SAMPLE_HZ)[:frames]
    loud = np.full(frames, np.nan, np.float32)
    loud[: len(levels)] = np.maximum(levels, -60.0)
    return {
        "loudness_r": metrics.correlation(loud, own.aperture),
        "encoder_r": metrics.correlation(geometry.opening(features), own.aperture),
    }


def own_rows(name: str, scene: Scene, made: list[VideoFrame], track: FaceTrack) -> Row:
    """Everything that needs the real picture of the same moment."""
    real, opened = metrics.aperture(scene.track), metrics.aperture(track)
    lag = metrics.best_lag(opened, real)
    row: Row = {
        f"{name}_r": metrics.correlation(opened, real),
        f"{name}_lag": lag.frames,
        f"{name}_lag_exact": lag.exact,
        f"{name}_lmd": _mean(metrics.lip_distance(track, scene.track)),
        f"{name}_drift": _mean(steadiness.drift(track, scene.track)),
        f"{name}_aperture": _listed(opened),
        f"{name}_found": float(track.found[scene.track.found].mean()),
    }
    return row | {f"{name}_{key}": value for key, value in _picture_rows(scene, made).items()}


def _picture_rows(scene: Scene, made: list[VideoFrame]) -> Row:
    noise, likeness, away, outside = [], [], [], 0
    details: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    for at, (new, old) in enumerate(zip(made, scene.frames, strict=True)):
        inside_frame, inside_crop = _masks(scene, at)
        outside = max(outside, metrics.outside_diff(new, old, inside_frame))
        if at % PICTURE_STEP or not scene.present(at):
            continue
        a, b = scene.crop(new, at), scene.crop(old, at)
        inside = metrics.lower_face(inside_crop)
        noise.append(metrics.psnr(a, b, inside))
        likeness.append(metrics.ssim(a, b, inside))
        away.append(texture.distance(a, b, inside))
        box = metrics.mouth_box(apply(scene.cast.matrices[at], scene.track.lips[at]))
        new_detail, old_detail = ((*metrics.detail(image, box), *texture.bands(image, box)) for image in (a, b))
        details.append((new_detail, old_detail))
    names = ("sharpness", "gradient", *texture.BANDS)
    ratios = {
        name: metrics.detail_ratio([new[k] for new, _ in details], [old[k] for _, old in details])
        for k, name in enumerate(names)
    }
    return {
        "psnr_db": _mean(noise), "ssim": _mean(likeness), "perceptual": _mean(away), **ratios, "outside": outside
    }  # fmt: skip


def _flicker_rows(scene: Scene, ways: dict[str, list[VideoFrame]]) -> Row:
    """Change of the lower face from frame to frame in settled silence; how many pairs of frames that is."""
    pairs = steadiness.quiet_pairs(scene, silent_frames(scene.samples, SAMPLE_HZ))
    inside = {at: metrics.lower_face(_masks(scene, at)[1]) for at in pairs}
    found = {f"{name}_flicker": steadiness.flicker(scene, frames, pairs, inside) for name, frames in ways.items()}
    return {**found, "quiet_pairs": len(pairs)}


def _masks(scene: Scene, at: int) -> tuple[Bool, Float]:
    """Where frame ``at`` may change: ``[H, W]`` of the frame, and the mask in the crop ``[256, 256]``."""
    frame, cast = scene.frames[at], scene.cast
    inside = np.zeros((frame.height, frame.width), bool)
    alpha = np.zeros((CROP_PX, CROP_PX), np.float32)
    if not scene.present(at):
        return inside, alpha
    alpha = mask(cast.matrices[at], cast.track.jaw[at], cast.track.lips[at])
    # The upper half is never to change, whatever the mask says.
    alpha[:HALF_PX] = 0
    spot = placed(alpha, cast.matrices[at], frame.width, frame.height)
    if spot is not None:
        (x0, y0, x1, y1), share = spot
        inside[y0:y1, x0:x1] = share > 0
    return inside, alpha


def _mean(values: Float | list[float]) -> float:
    finite = [float(v) for v in values if np.isfinite(v)]
    return float(np.mean(finite)) if finite else float("nan")


def _silence(name: str, track: FaceTrack, speech: Spoken, threshold: float) -> Row:
    closed = metrics.silence_closed(metrics.aperture(track), silent_frames(speech.samples, SAMPLE_HZ), threshold)
    return {f"{name}_silent_closed": closed.hits, f"{name}_silent": closed.total}


def _speech_rows(name: str, track: FaceTrack, speech: Spoken, threshold: float) -> Row:
    """What can be told against the mouth that really said the speech."""
    opened = metrics.aperture(track)
    frames = min(len(opened), len(speech.aperture))
    lag = metrics.best_lag(opened[:frames], speech.aperture[:frames])
    row: Row = {
        f"{name}_r": metrics.correlation(opened[:frames], speech.aperture[:frames]),
        f"{name}_lag": lag.frames,
        f"{name}_frames": frames,
        f"{name}_aperture": _listed(opened),
        f"{name}_spoken_aperture": _listed(speech.aperture[:frames]),
    }
    return row | _silence(name, track, speech, threshold)


def _wrong(scene: Scene, own: Spoken, features: Float, studio: Studio) -> float:
    """Correlation of the clip's own real mouth with a dub of unrelated speech; above 0, the picture leaks it."""
    made = studio.redub(scene, features, most=MOUTH_FRAMES)
    return metrics.correlation(metrics.aperture(studio.follow(made)), own.aperture[: len(made)])


def _strip(scene: Scene, made: list[VideoFrame], crossed: list[VideoFrame]) -> Bytes:
    """Crops of the same moments above each other; where nothing was made, grey."""
    rows: list[Bytes] = []
    steps = np.linspace(0, len(scene) - 1, SHEET_COLUMNS).round().astype(int)
    for frames in (list(scene.frames), made, crossed):
        tiles = []
        for at in steps:
            tile = np.full((CROP_PX, CROP_PX, 3), 128, np.uint8)
            if at < len(frames) and scene.present(int(at)):
                tile = scene.crop(frames[at], int(at))
            tiles.append(np.asarray(cv2.resize(tile, (SHEET_PX, SHEET_PX), interpolation=cv2.INTER_AREA), np.uint8))
        rows.append(np.concatenate(tiles, 1))
    return np.concatenate(rows, 0)
