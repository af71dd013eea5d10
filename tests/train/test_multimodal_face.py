"""Samples, a training step and held-out figures of ``multimodal``'s face generator, on made-up footage."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fake_data import make_data  # noqa: E402
from kouxing.data.animate import Take  # noqa: E402
from kouxing.data.footage import Footage, load_footage  # noqa: E402
from kouxing.data.multimodal import Clip  # noqa: E402
from kouxing.data.multimodal_face import FaceSamples, face_sample  # noqa: E402
from kouxing.data.multimodal_heard import Version  # noqa: E402
from kouxing.face.no_mouth import region  # noqa: E402
from kouxing.models.multimodal import Multimodal, MultimodalDimensions  # noqa: E402
from kouxing.models.multimodal_face import FaceMaker  # noqa: E402
from kouxing.models.shape import ShapeReader  # noqa: E402
from kouxing.train.multimodal_face import LOSSES, FaceTask, compared, mouth_features, some  # noqa: E402
from kouxing.types import Float  # noqa: E402

WIDTH = 5


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> list[Footage]:
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOUXING_CACHE", str(folder / "cache"))
        return load_footage(make_data(folder / "set"), "train")


def mouths(clip: Footage, present: tuple[float, ...] = (1, 1, 1)) -> Float:
    rows = np.random.default_rng(len(clip)).normal(size=(len(clip), 3, WIDTH)) * np.array(present)[:, None]
    there = np.broadcast_to(np.array(present)[:, None], (len(clip), 3, 1))
    return np.concatenate([rows, there], 2).reshape(len(clip), -1).astype(np.float32)


def test_samples_show_one_face_without_its_mouth(footage: list[Footage]) -> None:
    told = {clip.clip.id: [mouths(clip), mouths(clip, (0, 1, 0))] for clip in footage}
    batch = FaceSamples(footage, told, clips=2, run=2, seed=0)(3)
    assert batch["references"].shape == (2, 3, 256, 256) and batch["own"].shape == (2, 0, 3 * (WIDTH + 1))
    assert batch["audio"].shape == (4, 1, 3 * (WIDTH + 1)) and batch["stances"].shape == (4, 2, 14)
    # Nothing sharp is left where the mouth was.
    inside = torch.from_numpy(region() == 1)
    steps = (batch["references"][..., 1:] - batch["references"][..., :-1]).abs()[..., inside[:, 1:] & inside[:, :-1]]
    assert float(steps.max()) < 0.06
    one = face_sample(footage[0], told[footage[0].clip.id][0], np.array([0, 3]))
    assert one["frame"].shape == (2, 3, 256, 256) and not one["frame"][:, :, 128:].any()
    assert (one["audio"][1, 0] == told[footage[0].clip.id][0][3]).all()


def test_a_step_teaches_the_join_and_figures_are_told(footage: list[Footage], tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    clip = footage[0]
    model, reader = FaceMaker("chain", WIDTH), ShapeReader().eval().requires_grad_(False)
    samples = FaceSamples(footage, {one.clip.id: [mouths(one)] for one in footage}, clips=1, run=2, seed=0)
    task = FaceTask(model, samples, reader, [(clip, mouths(clip))], weights=LOSSES)
    loss, figures = task.step(model, task.batch(0), 0.0)
    loss.backward()
    assert torch.isfinite(loss) and "lips/reconstruction" in figures
    assert all(value.grad is not None for value in model.fusion.parameters())
    told = compared({"a": model}, {"a": [(clip, mouths(clip))]}, reader)["a"]
    assert {"l1", "psnr_db", "sharpness", "lmd", "gap_r", "ms"} <= told.keys() and told["psnr_db"] > 0
    assert len(some(clip)) <= 12


def test_mouth_features_are_of_what_is_there() -> None:
    rng, frames = np.random.default_rng(0), 20
    take = Take(
        name="a", group="grid", speaker="s", mel=rng.normal(size=(80, 80)).astype(np.float32),
        values=np.zeros((frames, 52), np.float32), channels=np.ones(52, bool), gap=np.zeros(frames, np.float32),
        silent=np.zeros(frames, bool), found=np.ones(frames, bool),
    )  # fmt: skip
    clip = Clip(take, np.zeros((frames, 16), np.float32), rng.random((frames, 19)).astype(np.float32), None)
    version = Version(
        *(rng.normal(size=(frames, w)).astype(np.float16) for w in (16, 12, 80, 6, 19)), np.zeros(frames, bool)
    )
    model = Multimodal(MultimodalDimensions(trunk=12, seen=8, width=WIDTH))
    told = mouth_features(model, clip, version, (1, 1, 1)).reshape(frames, 3, WIDTH + 1)
    # There are no pictures.
    assert (told[..., -1] == [1, 1, 0]).all() and (told[:, 2] == 0).all() and told[:, :2, :-1].std() > 0
    alone = mouth_features(model, clip, version, (0, 1, 0)).reshape(frames, 3, WIDTH + 1)
    assert (alone[:, 0] == 0).all() and not np.allclose(alone[:, 1, :-1], told[:, 1, :-1])
