"""Train the generator, after what it learns from: the shape reader and the speech encoder's predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.data.footage import Footage, load_footage
from kouxing.data.lips import LipsSamples, mask, planes, select
from kouxing.data.references import REFERENCES, choose
from kouxing.face.landmarks import GAP_LOWER, GAP_UPPER
from kouxing.face.stance import stance
from kouxing.losses import image
from kouxing.losses.sync import expert_loss
from kouxing.models.lips import PRESETS as SIZES
from kouxing.models.lips import Lips, LipsDimensions
from kouxing.models.shape import ShapeReader, opening
from kouxing.models.sync import Discriminator, Judges
from kouxing.train import shape
from kouxing.train.card import about
from kouxing.train.export import export_lips
from kouxing.train.loop import Batch, Figures, Schedule, best_figures, train
from kouxing.train.speech import load as load_speech
from kouxing.train.speech import predict
from kouxing.train.sync import load as load_judge
from kouxing.types import Float
from kouxing.units import HALF_PX

WEIGHTS = {
    "reconstruction": 4.0,
    "gradient": 2.0,
    "texture": 16.0,
    "difference": 2.0,
    "indecision": 0.3,
    "perceptual": 1.0,
    "landmarks": 1.0,
    "warp": 3.0,
    "sync": 0.3,
}
"""The loss table; sync counts where a frozen discriminator is given. Lip-reading and GAN terms take their rows here
when their experts exist."""
RUN, JUDGED_RUN = 2, 5
"""S: frames in a row; the frame difference needs 2, a discriminator of 5-frame windows the second."""

PRESETS = {
    "fast": Schedule(
        steps=3000, batch=12, rate=8e-4, warmup=150, validate_every=300, precision="bf16-mixed", ema=0.998
    ),
    "fine": Schedule(
        steps=1500, batch=12, rate=6e-4, warmup=150, validate_every=300, precision="bf16-mixed", ema=0.998
    ),
}
VALIDATION_CLIPS = 24
LAYERS = 3
"""Feature maps of the shape reader that the perceptual loss compares: those that still show texture."""


@dataclass
class LipsTask:
    """Model, data, losses and held-out clips of the generator."""

    model: Lips
    samples: LipsSamples
    reader: ShapeReader
    held_out: list[tuple[Footage, Float]]
    vgg19: image.Vgg19 | None = None
    judge: Discriminator | Judges | None = None

    def __post_init__(self) -> None:
        # In bf16 the backward convolutions are about four times as fast in this layout, on CPU and GPU alike.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.reader.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batch(self, number: int) -> Batch:
        batch = self.samples(number)
        return {
            name: x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for name, x in batch.items()
        }

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        made, trust, flow = model(batch["frame"], batch["references"], batch["audio"], batch["own"], batch["stances"])
        made, real = made.float(), batch["real"]
        weight = F.interpolate(batch["region"], real.shape[2:], mode="bilinear", align_corners=False)
        # Everything outside the face is never pasted: readers see the real thing there.
        inside = (weight / weight.amax((1, 2, 3), keepdim=True) * 4).clamp(max=1.0)
        seen = real + (made - real) * inside
        maps = self.reader.maps(seen)
        landmarks = self.reader.landmarks(maps[-1])
        gaps = [opening(points, GAP_LOWER, GAP_UPPER) for points in (landmarks, batch["lips"])]
        terms = {
            "reconstruction": image.reconstruction(made, real, weight),
            "gradient": image.gradient(made, real, weight),
            "texture": image.texture(made, real, weight),
            "difference": image.frame_difference(made, real, weight, len(made) // len(batch["mel"])),
            "indecision": image.indecision(trust, batch["region"]),
            "perceptual": self._perceptual(seen, real, maps),
            "landmarks": (landmarks - batch["lips"]).abs().mean() + 2 * (gaps[0] - gaps[1]).abs().mean(),
            "warp": image.misplaced(flow, batch["places"]),
        }
        if self.judge is not None:
            terms["sync"] = self._sync(self.judge, seen, batch)
        loss = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
        return loss, {f"lips/{name}": value.detach() for name, value in terms.items()} | {"lips/loss": loss.detach()}

    @staticmethod
    def _sync(judge: Discriminator | Judges, lower: Tensor, batch: Batch) -> Tensor:
        """L_sync of painted lower halves ``[clips * S, 3, 128, 256]``; mouth pictures start a little above them."""
        # Whatever the rest runs in: a frozen judge in half precision judges noise.
        with torch.autocast(lower.device.type, enabled=False):
            above = F.pad(batch["above"], (0, 0, HALF_PX - batch["above"].shape[2], 0))
            crops = torch.cat([above, lower], 2)
            return expert_loss(
                judge.to(crops.device), crops.reshape(len(batch["mel"]), -1, *crops.shape[1:]), batch["mel"]
            )

    def _perceptual(self, made: Tensor, real: Tensor, maps: list[Tensor]) -> Tensor:
        if self.vgg19 is not None:
            return image.perceptual(made, real, self.vgg19)
        # The reader has looked at scale 1 already.
        with torch.no_grad():
            goal = self.reader.maps(real)[:LAYERS]
        whole = image.feature_difference(maps[:LAYERS], goal)
        return (whole + image.perceptual(made, real, lambda x: self.reader.maps(x)[:LAYERS], (2,))) / 2

    @torch.no_grad()
    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        device = next(model.parameters()).device
        rows, sheets = [], []
        for clip, predicted in self.held_out:
            frames = np.flatnonzero(clip.found)[:: max(1, len(clip) // 12)][:12]
            sample = held_out_sample(clip, predicted, frames, self.model.dimensions)
            tensors = {name: torch.from_numpy(value).to(device) for name, value in sample.items()}
            made = model(*(tensors[name] for name in ("frame", "references", "audio", "own", "stances")))[0].float()
            rows.append(self._figures(made, tensors["real"], clip, frames))
            sheets.append(_sheet(tensors["real"], made))
        cv2.imwrite(str(folder / f"samples-{step:06d}.png"), cv2.cvtColor(np.vstack(sheets[:10]), cv2.COLOR_RGB2BGR))
        names = ("l1", "sharpness", "gap_error_px", "gap_r")
        result = {f"val/{name}": float(np.nanmean([row[name] for row in rows])) for name in names}
        # Mouths that obey come first, closeness second; both are about 1 when good.
        score = result["val/gap_r"] - 5 * result["val/l1"] - 0.3 * abs(np.log(max(result["val/sharpness"], 1e-3)))
        return result | {"score": float(score)}

    def _figures(self, made: Tensor, real: Tensor, clip: Footage, frames: np.ndarray) -> dict[str, float]:
        lips = clip.lips[frames]
        low = np.clip(lips.min((0, 1)) - 6, 0, 2 * HALF_PX - 1).astype(int)
        high = np.clip(lips.max((0, 1)) + 6, 0, 2 * HALF_PX - 1).astype(int)
        box = (slice(None), slice(None), slice(max(0, low[1] - HALF_PX), high[1] - HALF_PX), slice(low[0], high[0]))
        energy = [float(_laplacian(x[box]).square().mean()) for x in (made, real)]
        gaps = [opening(self.reader(x), GAP_LOWER, GAP_UPPER).cpu().numpy() * HALF_PX for x in (made, real)]
        r = float(np.corrcoef(gaps[0], gaps[1])[0, 1]) if min(map(np.std, gaps)) > 1e-6 else float("nan")
        return {
            "l1": float((made[box] - real[box]).abs().mean()),
            "sharpness": energy[0] / max(energy[1], 1e-9),
            "gap_error_px": float(np.abs(gaps[0] - gaps[1]).mean()),
            "gap_r": r,
        }


def held_out_sample(clip: Footage, predicted: Float, frames: np.ndarray, size: LipsDimensions) -> dict[str, np.ndarray]:
    """Inputs for some frames of one clip as at inference: references chosen over the whole clip."""
    middle = np.median(clip.pose[clip.found], 0)
    chosen = choose(clip.aperture, clip.pose, middle, clip.found, count=REFERENCES)
    crops = [clip.crop(int(i)) for i in frames]
    return {
        "frame": planes(np.stack([mask(crop, HALF_PX) for crop in crops])),
        "real": planes(np.stack(crops)[:, HALF_PX:]),
        "references": planes(np.stack([clip.crop(i) for i in chosen])),
        "audio": np.stack([select(predicted, int(i), size.window, size.spacing) for i in frames]),
        "own": clip.geometry[chosen][None],
        "stances": stance(clip.anchors[[[int(i), *chosen] for i in frames]]),
    }


def _laplacian(x: Tensor) -> Tensor:
    grey = x.mean(1, keepdim=True)
    kernel = grey.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).reshape(1, 1, 3, 3)
    return F.conv2d(grey, kernel)


def _sheet(real: Tensor, made: Tensor) -> np.ndarray:
    """Real above made, 6 frames: ``[256, 6 * 256, 3] uint8``."""
    rows = [torch.cat(list(x[:6]), 2).permute(1, 2, 0).cpu().numpy() for x in (real, made)]
    sheet = (np.concatenate(rows) * 255).clip(0, 255).astype(np.uint8)
    wide = np.zeros((sheet.shape[0], 12 * HALF_PX, 3), np.uint8)
    wide[:, : sheet.shape[1]] = sheet
    return wide


def main(
    data: Path,
    out: Path,
    *,
    preset: str = "fast",
    speech: Path,
    start: Path | None = None,
    vgg19: Path | None = None,
    judge: Path | None = None,
    device: str = "cpu",
    schedule: Schedule | None = None,
    report: Callable[[str], None] = print,
) -> Lips:
    """Train ``lips`` on ``data``'s train split.

    Args:
        data: data folder.
        out: run folder; at the end it also holds the weights as ONNX with their cards; the same command resumes.
        preset: ``fast`` or ``fine``.
        speech: run folder of ``train speech``.
        start: best weights of another preset; every tensor whose name and shape agree is taken over.
        vgg19: safetensors of VGG-19 for the perceptual loss; else the shape reader's features serve.
        judge: run folder of ``train sync``; its discriminator, frozen, is a further loss.
        device: see ``train.loop.train``.
        schedule: instead of the preset's.
        report: where progress lines go.

    Returns:
        The best averaged model.

    Raises:
        DataError: ``speech`` or ``judge`` holds no trained network.
    """
    schedule = schedule or PRESETS[preset]
    run = RUN if judge is None else JUDGED_RUN
    footage, held_out = load_footage(data, "train"), load_footage(data, "val")
    reader = (
        shape.main(footage, held_out, out.parent / "shape", device=device, report=report).eval().requires_grad_(False)
    )
    encoder = load_speech(speech)
    report("speech features of all clips")
    samples = LipsSamples(
        footage,
        [predict(encoder, clip) for clip in footage],
        clips=max(1, schedule.batch // run),
        run=run,
        window=SIZES[preset].window,
        spacing=SIZES[preset].spacing,
        seed=schedule.seed,
    )
    chosen = sorted(held_out, key=lambda clip: (clip.clip.seconds < 2, clip.clip.part == "grid", clip.clip.id))
    chosen = [
        *chosen[:7],
        *[c for c in chosen if c.clip.part == "grid"][:6],
        *[c for c in chosen if c.clip.seconds < 2],
    ]
    # Tracked features: the generator is judged here, not the ear.
    pairs = [(clip, clip.geometry) for clip in chosen[:VALIDATION_CLIPS]]
    model = Lips(SIZES[preset])
    if start is not None:
        report(f"{_take_over(model, start)} tensors taken over from {start}")
    frozen = None if judge is None else load_judge(judge).requires_grad_(False)
    task = LipsTask(model, samples, reader, pairs, _vgg(vgg19) if vgg19 else None, frozen)
    config = {
        "model": "lips", "preset": preset, "dimensions": asdict(SIZES[preset]), "weights": WEIGHTS, "run": run,
        "judge": str(judge),
    }  # fmt: skip
    best = cast(Lips, train(task, schedule, out, device, config, report))
    save(best, preset, data, out)
    return best


def save(model: Lips, preset: str, data: Path, out: Path) -> None:
    """Export the model of run folder ``out`` into it, with its cards."""
    units = {
        "crop": "[1, 128, 256, 3] uint8 RGB, upper half of the upright face crop",
        "audio": "[1, 11, 16] mouth geometry around the frame, 25 Hz, times the mouth-opening coefficient",
        "own": "[1, 3, 16] mouth geometry of the references, ordered from closed to open",
        "stances": "[1, 4, 14] where the head's steady points lie in the crops of frame and references (face.stance)",
        "lower": "[1, 128, 256, 3] uint8 RGB, the painted lower half",
    }
    figures = {name.removeprefix("val/"): value for name, value in best_figures(out).items()}
    recipe = f"kouxing train lips --preset {preset} --data DATA --speech runs/speech --out runs/lips-{preset}"
    export_lips(model, preset, about(data, recipe, units, figures), out)


def _take_over(model: Lips, path: Path) -> int:
    own, given = model.state_dict(), load_file(path)
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(own | fitting)
    return len(fitting)


def _vgg(path: Path) -> image.Vgg19:
    network = image.Vgg19()
    given = load_file(path)
    network.load_state_dict({name: given[name] for name in network.state_dict()})
    return network.eval()
