"""Train the generator, after what it learns from: the shape reader and the speech encoder's predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from kouxing.data.footage import Footage, load_footage
from kouxing.data.grid import Word, transcripts
from kouxing.data.lips import REST_SHARE, LipsSamples, mask, planes, select
from kouxing.data.references import REFERENCES, choose
from kouxing.errors import OptionError
from kouxing.eval.lipreading import load as load_reader
from kouxing.face.landmarks import GAP_LOWER, GAP_UPPER
from kouxing.face.stance import stance
from kouxing.losses import adversarial, image, lipreading
from kouxing.losses.sync import expert_loss
from kouxing.models.critics import Critics, frozen
from kouxing.models.lipreader import LipReader
from kouxing.models.lips import PRESETS as SIZES
from kouxing.models.lips import Lips, LipsDimensions
from kouxing.models.shape import ShapeReader, opening
from kouxing.models.sync import Discriminator, Judges
from kouxing.train import shape
from kouxing.train.card import about
from kouxing.train.export import export_lips
from kouxing.train.loop import Batch, Figures, Schedule, best_figures, load_tensors, train, write_aside
from kouxing.train.speech import load as load_speech
from kouxing.train.speech import predict
from kouxing.train.sync import load as load_judge
from kouxing.types import Bool, Float
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
    "lipread": 0.1,
    "gan": 0.0,
}
"""The loss table; 0 switches a term off. ``sync`` and ``lipread`` count where a frozen expert is given."""
RUN, JUDGED_RUN, READ_RUN = 2, 5, 14
"""S: frames in a row; the frame difference needs 2, a discriminator of 5-frame windows the second, a word the third."""
EXPERT_EVERY = 3
"""Every so-manieth batch is of the experts' longer runs: the shorter ones show more faces in as many frames."""
UNPAIRED_SHARE = 0.5
"""Of those batches, how many say what another clip says, as dubs do: experts and critics alone can judge them."""
GAN_FROM, GAN_WARMUP = 0.5, 0.1
"""From which share of the steps on critics are trained, and how long alone: what is still blurred is no adversary."""
CRITICS = "critics.safetensors"
CRITIC_RATE = 4e-4

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
    """Model, data, losses and held-out clips of the generator.

    A loss counts where the table gives it a weight and what it needs is there.

    Attributes:
        expert_samples: the batches that frozen experts judge; None: there are none.
    """

    model: Lips
    samples: LipsSamples
    reader: ShapeReader | None
    held_out: list[tuple[Footage, Float]]
    vgg19: image.Vgg19 | None = None
    judge: Discriminator | Judges | None = None
    weights: Mapping[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    lipreader: LipReader | None = None
    gan_from: float = GAN_FROM
    expert_samples: LipsSamples | None = None
    critics: Critics = field(init=False)

    def __post_init__(self) -> None:
        self.critics = Critics()
        self._critic_steps = torch.optim.Adam(self.critics.parameters(), CRITIC_RATE, betas=(0.5, 0.9))
        # In bf16 the backward convolutions are about four times as fast in this layout, on CPU and GPU alike.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.reader is not None:
            self.reader.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batch(self, number: int) -> Batch:
        own_turn = self.expert_samples is not None and number % EXPERT_EVERY == 0
        batch = self.expert_samples(number) if self.expert_samples is not None and own_turn else self.samples(number)
        return {
            name: x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for name, x in batch.items()
        }

    def step(self, model: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        made, trust, flow = model(batch["frame"], batch["references"], batch["audio"], batch["own"], batch["stances"])
        made, real = made.float(), batch["real"]
        weight = F.interpolate(batch["region"], real.shape[2:], mode="bilinear", align_corners=False)
        terms = {"indecision": image.indecision(trust, batch["region"])}
        if bool(batch["paired"]):
            terms |= {
                "reconstruction": image.reconstruction(made, real, weight),
                "gradient": image.gradient(made, real, weight),
                "texture": image.texture(made, real, weight),
                "difference": image.frame_difference(made, real, weight, len(made) // len(batch["mel"])),
                "warp": image.misplaced(flow, batch["places"]),
            }
        # Everything outside the face is never pasted: readers see the real thing there.
        inside = (weight / weight.amax((1, 2, 3), keepdim=True) * 4).clamp(max=1.0)
        seen = real + (made - real) * inside
        terms |= self._read(seen, real, batch)
        told: dict[str, Tensor] = {}
        if self._counts("gan") and progress >= self.gan_from:
            terms["gan"], told["lips/critics"] = self._adversaries(seen, real, progress)
        loss = torch.stack([self.weights[name] * value for name, value in terms.items() if self._counts(name)]).sum()
        told |= {f"lips/{name}": value.detach() for name, value in terms.items()}
        return loss, told | {"lips/loss": loss.detach()}

    def _adversaries(self, seen: Tensor, real: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """One step of the critics; then how little they believe the painted, from 0 up over ``GAN_WARMUP``."""
        self.critics.to(seen.device).train()
        with torch.autocast(seen.device.type, enabled=False):
            believed = self.critics(real)
            loss = adversarial.critic_loss(believed, self.critics(seen.detach()))
            self._critic_steps.zero_grad(set_to_none=True)
            loss.backward()
            self._critic_steps.step()
            share = min(1.0, max(0.0, (progress - self.gan_from) / GAN_WARMUP - 0.5))
            return share * adversarial.generator_loss(believed, frozen(self.critics, seen)), loss.detach()

    def _counts(self, name: str) -> bool:
        return self.weights.get(name, 0.0) > 0

    def _read(self, seen: Tensor, real: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What other networks say of the painted lower halves ``seen``."""
        terms: dict[str, Tensor] = {}
        if self.reader is not None and bool(batch["paired"]):
            maps = self.reader.maps(seen)
            landmarks = self.reader.landmarks(maps[-1])
            gaps = [opening(points, GAP_LOWER, GAP_UPPER) for points in (landmarks, batch["lips"])]
            terms["landmarks"] = (landmarks - batch["lips"]).abs().mean() + 2 * (gaps[0] - gaps[1]).abs().mean()
            if self._counts("perceptual"):
                terms["perceptual"] = self._perceptual(self.reader, seen, real, maps)
        if self.judge is not None and self._counts("sync") and _run(batch) >= JUDGED_RUN:
            terms["sync"] = self._sync(self.judge, seen, batch)
        if self.lipreader is not None and self._counts("lipread") and "phones" in batch:
            crops = self._crops(seen, batch)
            with torch.autocast(seen.device.type, enabled=False):
                reader = self.lipreader.to(crops.device)
                terms["lipread"] = lipreading.expert_loss(reader, crops, batch["phones"], batch["counts"])
        return terms

    @staticmethod
    def _crops(lower: Tensor, batch: Batch) -> Tensor:
        """Crops ``[clips, S, 3, 256, 256]`` of lower halves ``[clips * S, 3, 128, 256]``, as mouth pictures show."""
        above = F.pad(batch["above"], (0, 0, HALF_PX - batch["above"].shape[2], 0))
        crops = torch.cat([above, lower], 2)
        return crops.reshape(len(batch["mel"]), -1, *crops.shape[1:])

    @classmethod
    def _sync(cls, judge: Discriminator | Judges, lower: Tensor, batch: Batch) -> Tensor:
        """L_sync of painted lower halves ``[clips * S, 3, 128, 256]``; mouth pictures start a little above them."""
        # Whatever the rest runs in: a frozen judge in half precision judges noise.
        with torch.autocast(lower.device.type, enabled=False):
            crops = cls._crops(lower, batch)
            return expert_loss(judge.to(crops.device), crops, batch["mel"])

    def _perceptual(self, reader: ShapeReader, made: Tensor, real: Tensor, maps: list[Tensor]) -> Tensor:
        """L_perc at scales 1, 1/2, 1/4: of VGG-19 where the user has it, else of the shape reader."""
        if self.vgg19 is not None:
            return image.perceptual(made, real, self.vgg19)
        # The reader has looked at scale 1 already.
        with torch.no_grad():
            goal = reader.maps(real)[:LAYERS]
        whole = image.feature_difference(maps[:LAYERS], goal)
        return (whole + 2 * image.perceptual(made, real, lambda x: reader.maps(x)[:LAYERS], (2, 4))) / 3

    @torch.no_grad()
    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        device = next(model.parameters()).device
        if self._counts("gan"):
            write_aside(folder / CRITICS, self.critics.state_dict(), {})
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
        assert self.reader is not None
        gaps = [opening(self.reader(x), GAP_LOWER, GAP_UPPER).cpu().numpy() * HALF_PX for x in (made, real)]
        r = float(np.corrcoef(gaps[0], gaps[1])[0, 1]) if min(map(np.std, gaps)) > 1e-6 else float("nan")
        return {
            "l1": float((made[box] - real[box]).abs().mean()),
            "sharpness": energy[0] / max(energy[1], 1e-9),
            "gap_error_px": float(np.abs(gaps[0] - gaps[1]).mean()),
            "gap_r": r,
        }


def held_out_sample(
    clip: Footage, predicted: Float, frames: np.ndarray, size: LipsDimensions, usable: Bool | None = None
) -> dict[str, np.ndarray]:
    """Inputs for some frames of one clip as at inference: references chosen over the whole clip.

    Args:
        clip: the footage.
        predicted: ``[T, 16]`` features that drive the mouth.
        frames: which frames.
        size: of the generator.
        usable: ``[T]`` frames that may be references; all with a face by default.
    """
    usable = clip.found if usable is None else usable
    middle = np.median(clip.pose[usable], 0)
    chosen = choose(clip.aperture, clip.pose, middle, usable, count=REFERENCES)
    crops = [clip.crop(int(i)) for i in frames]
    return {
        "frame": planes(np.stack([mask(crop, HALF_PX) for crop in crops])),
        "real": planes(np.stack(crops)[:, HALF_PX:]),
        "references": planes(np.stack([clip.crop(i) for i in chosen])),
        "audio": np.stack([select(predicted, int(i), size.window, size.spacing) for i in frames]),
        "own": clip.geometry[chosen][None],
        "stances": stance(clip.anchors[[[int(i), *chosen] for i in frames]]),
    }


def _run(batch: Batch) -> int:
    """S of a batch."""
    return len(batch["frame"]) // len(batch["mel"])


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
    lipreader: Path | None = None,
    weights: Mapping[str, float] | None = None,
    gan_from: float = GAN_FROM,
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
        lipreader: run folder of ``train lipreader``; its reader, frozen, is a further loss where words are known.
        weights: rows of the loss table ``WEIGHTS`` that shall be others; 0 switches a term off.
        gan_from: share of the steps after which critics come in, where ``gan`` has a weight.
        device: see ``train.loop.train``.
        schedule: instead of the preset's.
        report: where progress lines go.

    Returns:
        The best averaged model.

    Raises:
        DataError: ``speech``, ``judge`` or ``lipreader`` holds no trained network.
        OptionError: ``weights`` names an unknown term, or a weight below 0.
    """
    schedule = schedule or PRESETS[preset]
    table = loss_table(weights or {})
    run = READ_RUN if lipreader is not None else RUN if judge is None else JUDGED_RUN
    words = None if lipreader is None else transcripts(data)
    footage, held_out = load_footage(data, "train"), load_footage(data, "val")
    reader = (
        shape.main(footage, held_out, out.parent / "shape", device=device, report=report).eval().requires_grad_(False)
    )
    encoder = load_speech(speech)
    report("speech features of all clips")
    heard = [predict(encoder, clip) for clip in footage]

    def batches(run: int, words: Mapping[str, Sequence[Word]] | None = None, unpaired: float = 0.0) -> LipsSamples:
        return LipsSamples(
            footage,
            heard,
            clips=max(1, schedule.batch // run),
            run=run,
            window=SIZES[preset].window,
            spacing=SIZES[preset].spacing,
            seed=schedule.seed,
            words=words,
            unpaired=unpaired,
            resting=REST_SHARE,
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
    frozen_judge = None if judge is None else load_judge(judge).requires_grad_(False)
    task = LipsTask(
        model, batches(RUN), reader, pairs, _vgg(vgg19) if vgg19 else None, frozen_judge, table,
        None if lipreader is None else load_reader(lipreader).requires_grad_(False), gan_from,
        None if run == RUN else batches(run, words, UNPAIRED_SHARE),
    )  # fmt: skip
    if (out / CRITICS).exists():
        load_tensors(task.critics, out / CRITICS)
    config = {
        "model": "lips", "preset": preset, "dimensions": asdict(SIZES[preset]), "weights": table, "run": run,
        "judge": str(judge), "lipreader": str(lipreader), "gan_from": gan_from,
    }  # fmt: skip
    best = cast(Lips, train(task, schedule, out, device, config, report))
    save(best, preset, data, out)
    return best


def loss_table(changes: Mapping[str, float]) -> dict[str, float]:
    """``WEIGHTS`` with some rows changed.

    Raises:
        OptionError: a term is unknown, or its weight is no number of at least 0.
    """
    for name, value in changes.items():
        if name not in WEIGHTS:
            raise OptionError(f"--weight {name}: no such loss; choose from {', '.join(WEIGHTS)}")
        if not 0 <= value < float("inf"):
            raise OptionError(f"--weight {name}={value}: give a number of at least 0")
    return {**WEIGHTS, **changes}


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
