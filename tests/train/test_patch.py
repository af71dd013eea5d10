"""Only the columns that are pasted are painted: the same pixels there, whole halves for teachers, older files too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from kouxing import weights  # noqa: E402
from kouxing.infer.lips import LipsNetwork  # noqa: E402
from kouxing.infer.references import References  # noqa: E402
from kouxing.models.lips import Lips, LipsDimensions, neighbours  # noqa: E402
from kouxing.train import export, restore  # noqa: E402
from kouxing.train.teacher import Teacher  # noqa: E402
from kouxing.units import CROP_PX, HALF_PX, PATCH_PX  # noqa: E402
from scripts import script  # noqa: E402

EDGE_PX = 16
ABOUT = {"units": {}, "recipe": "test", "commit": "none", "data": [], "licence": "none", "figures": {}}
TINY = LipsDimensions(encoder=(8, 8, 8, 8, 8), fusion=16, drive=16, decoder=(8, 8, 8, 8, 8))


class WholeFrame(export._Frame):
    """As files of before: all columns, and nobody is asked which."""

    def forward(self, *given: Tensor) -> Tensor:
        crop, audio, pictures, *rest = given
        upper = crop.permute(0, 3, 1, 2).float() / 255.0
        frame = torch.cat([upper, torch.zeros_like(upper)], 2)
        lower = self.model.paint(frame, pictures, tuple(rest[:4]), audio, *rest[4:]).permute(0, 2, 3, 1)
        return (lower * 255.0).round().to(torch.uint8)


def pictures(count: int) -> Tensor:
    """``[count, 3, 256, 256]``, 0..255."""
    noise = torch.randint(0, 256, (count, 3, CROP_PX, CROP_PX), generator=torch.Generator().manual_seed(1)).float()
    return F.avg_pool2d(noise, 9, 1, 4).round()


def given(size: LipsDimensions) -> tuple[Tensor, ...]:
    """Audio, own features and stances."""
    chance = torch.Generator().manual_seed(2)
    rows = ((size.window, size.features), (size.references, size.features), (1 + size.references, size.stance))
    audio, own, stances = (torch.randn(1, *row, generator=chance) for row in rows)
    return audio, own, 0.2 * stances


@pytest.fixture(scope="module")
def shipped() -> Lips:
    return restore.lips("fast")[0]


@torch.no_grad()
def whole(model: Lips, crops: Tensor, audio: Tensor, own: Tensor, stances: Tensor) -> Tensor:
    """All columns, ``[3, 128, 256]``, in PyTorch."""
    frame = crops[:1] / 255.0
    frame[:, :, HALF_PX:] = 0
    references = crops[1:] / 255.0
    return model.paint(frame, references, model.encode(references), audio, own, stances)[0]


@pytest.mark.parametrize("left", [0, 20, CROP_PX - PATCH_PX])
def test_a_part_is_the_same_as_in_the_whole(shipped: Lips, left: int) -> None:
    crops, told = pictures(4), given(shipped.dimensions)
    wanted = whole(shipped, crops, *told)
    frame = crops[:1] / 255.0
    frame[:, :, HALF_PX:] = 0
    with torch.no_grad():
        memory = shipped.encode(crops[1:] / 255.0)
        table = neighbours(crops[1:].to(torch.uint8))
        made = shipped.paint(frame, table, memory, *told, torch.tensor([left]))[0]
    assert made.shape == (3, HALF_PX, PATCH_PX)
    # Where the part ends within the crop, convolutions see zeros beyond it.
    first, last = (EDGE_PX if left else 0), PATCH_PX - (EDGE_PX if left + PATCH_PX < CROP_PX else 0)
    torch.testing.assert_close(made[..., first:last], wanted[..., left + first : left + last], atol=2e-4, rtol=0)


def test_a_teacher_paints_the_whole(shipped: Lips) -> None:
    crops, (audio, own, stances) = pictures(4), given(shipped.dimensions)
    rows = {"references": crops[1:] / 255.0, "frame": crops[:1] / 255.0, "real": crops[:1]}
    taught = Teacher(weights.SHIPPED, "fast")({**rows, "audio": audio, "own": own, "stances": stances})
    assert taught.shape == (1, 3, HALF_PX, CROP_PX)
    torch.testing.assert_close(taught[0], whole(shipped, crops, audio, own, stances), atol=2 / 255, rtol=0)


def test_files_of_before_paint_all_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    model = Lips(TINY).eval()
    before, renewed = tmp_path / "before", tmp_path / "renewed"
    export.export_lips(model, "fast", ABOUT, before)
    crops, (audio, own, stances) = pictures(4), given(TINY)
    levels = crops.permute(0, 2, 3, 1).to(torch.uint8)
    with torch.no_grad():
        memory = export._References(model)(levels[1:])
    names = ["crop", "audio", *export.MEMORY, "own", "stances"]
    inputs = (levels[:1, :HALF_PX].contiguous(), audio, *memory, own, stances)
    graph = export.halve(export._export(WholeFrame(model), inputs, names, ["lower"]))
    weights.save("lips_fast_frame", graph, {**ABOUT, "dimensions": TINY.as_dict()}, before)
    # The recipe reads such a file too, and makes the same numbers in today's graph of it.
    monkeypatch.setattr("sys.argv", ["renew_lips.py", str(before), "--out", str(renewed)])
    script("recipes/renew_lips.py").main()
    anchors = np.tile(np.array([[128, 100]], np.float32), (4, 8, 1))
    anchors[:, 6], anchors[:, 7] = (48, 120), (208, 120)
    references = References(levels[1:].numpy(), own[0, :, :16].numpy(), anchors[1:])
    made = []
    for folder in (before, renewed):
        monkeypatch.setenv("KOUXING_WEIGHTS", str(folder))
        network = LipsNetwork("fast", threads=1)
        network.set_references(references)
        made.append(network.paint(levels[0].numpy(), anchors[0], audio[0].numpy()).astype(int))
    first = (CROP_PX - PATCH_PX) // 2
    inside = slice(first + EDGE_PX, CROP_PX - first - EDGE_PX)
    assert np.abs(made[0] - made[1])[:, inside].max() <= 1
    assert (made[1][HALF_PX:, :first] == made[1][HALF_PX:, first : first + 1]).all()
    assert not (made[0][HALF_PX:, :first] == made[0][HALF_PX:, first : first + 1]).all()
