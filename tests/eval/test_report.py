"""Figures put together from rows by hand, the table, and the pictures."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from kouxing.errors import OutputError
from kouxing.eval import report, sheet


def row(name: str, part: str, **more: Any) -> dict[str, Any]:
    own: dict[str, Any] = {
        "id": name, "part": part, "cross": "other", "self_r": 0.5, "self_lag": 0, "self_lag_exact": 0.1,
        "self_lmd": 0.02, "self_psnr_db": 25.0, "self_ssim": 0.9, "self_sharpness": 0.7, "self_outside": 0,
        "copy_psnr_db": 24.0, "copy_lmd": 0.04, "cross_r": 0.4, "wrong_r": 0.0,
        "self_silent": 10, "self_silent_closed": 8,
        "cross_silent": 0, "cross_silent_closed": 0, "low_opening": 0.02, "mid_opening": 0.03, "high_opening": 0.04,
        "real_aperture": [0.0, 0.1, None, 0.05], "self_aperture": [0.0, 0.08, 0.02, 0.05],
    }  # fmt: skip
    return own | more


def test_figures_are_put_together_as_they_are_defined() -> None:
    rows = [
        row("a", "grid", self_r=0.2, self_lag=2, copy_psnr_db=27.0),
        row("b", "grid", self_r=0.6, self_lag=-1, self_silent=30, self_silent_closed=30, self_outside=3),
        row("c", "grid", self_r=0.7, self_lag_exact=None, cross_silent=10, cross_silent_closed=0),
        row("d", "wild", self_r=0.9, cross_r=None, self_lmd=0.06, copy_psnr_db=23.0),
    ]
    found = report.figures(rows)
    assert found["self_r_grid"] == 0.6
    assert found["self_r_wild"] == 0.9
    assert found["self_lag_ok"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["psnr_gain_db"] == pytest.approx((-2 + 1 + 1 + 2) / 4)
    assert found["lmd_ratio"] == pytest.approx(0.12 / 0.16)
    assert found["silence_score"] == pytest.approx((8 + 30 + 8 + 8 + 0) / (10 + 30 + 10 + 10 + 10), abs=1e-4)
    assert found["outside_mask_diff"] == 3
    assert found["mouth_gain_low"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["mouth_gain_high"] == pytest.approx(4 / 3, abs=1e-4)
    assert "cross_r_wild" not in found


def test_a_missing_part_leaves_its_figures_out() -> None:
    found = report.figures([row("a", "wild")])
    assert "self_r_grid" not in found and "self_lag_ok" not in found
    assert all(math.isfinite(value) for value in found.values())


def test_table_shows_both_parts_and_all_columns() -> None:
    rows = (row("a", "grid", self_r=0.654), row("b", "wild", self_r=0.321, truth_r=0.987, copy_r=-0.05))
    page = io.StringIO()
    Console(file=page, width=200).print(report.Report("fast", "test", rows, report.figures(rows)).table())
    text = page.getvalue()
    words = ("GRID", "in the wild", *report.COLUMNS.values(), "0.654", "0.321", "0.987")
    assert [word for word in words if word not in text] == []


def test_json_has_no_nan(tmp_path: Path) -> None:
    rows = (row("a", "grid", self_r=float("nan"), truth_r=np.float32(0.5)),)
    path = report.Report("fast", "test", rows, {}).write(tmp_path / "new")
    told = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert told["rows"][0]["self_r"] is None and told["rows"][0]["truth_r"] == 0.5
    assert list(path.parent.iterdir()) == [path]


def test_unwritable_folder_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        report.write_text(tmp_path / "file" / "x.json", "{}")
    with pytest.raises(OutputError, match="choose another folder"):
        sheet.write_picture(tmp_path / "file" / "x.png", np.zeros((2, 2, 3), np.uint8))


def test_contact_sheet_shows_every_strip_under_its_text(tmp_path: Path) -> None:
    strips = [np.full((30, 900, 3), shade, np.uint8) for shade in (50, 120)]
    image = sheet.contact_sheet([row("a", "grid"), row("b", "grid", self_r=None)], strips)
    assert image.shape == (2 * (30 + sheet.LABEL_PX), 900, 3)
    assert (image[sheet.LABEL_PX : sheet.LABEL_PX + 30] == 50).all()
    assert image[: sheet.LABEL_PX].min() < 100, "no text"
    sheet.write_picture(tmp_path / "s.png", image)
    np.testing.assert_array_equal(sheet.read_picture(tmp_path / "s.png"), image)
    with pytest.raises(ValueError, match="at least one"):
        sheet.contact_sheet([], [])


def test_curves_follow_the_values_and_break_at_gaps() -> None:
    rising = list(np.linspace(0, 0.1, 40))
    image = sheet.curves([row("a", "grid", real_aperture=[0.0] * 40, self_aperture=rising)])
    panel = image[sheet.LABEL_PX :, : sheet.PANEL_PX[1]]
    blue = (panel[..., 2].astype(int) - panel[..., 0]) > 80
    columns = [np.flatnonzero(blue[:, x]).mean() for x in (60, 300, 560)]
    assert columns[0] > columns[1] > columns[2]
    holed = sheet.curves([row("a", "grid", real_aperture=[], self_aperture=[0.05] * 15 + [None] * 10 + [0.05] * 15)])
    panel = holed[sheet.LABEL_PX :, : sheet.PANEL_PX[1]]
    assert not ((panel[5:-5, 310:330, 2].astype(int) - panel[5:-5, 310:330, 0]) > 80).any()


def test_pages_hold_a_few_clips_each(tmp_path: Path) -> None:
    rows = [row(f"c{n}", "grid") for n in range(sheet.PAGE_CLIPS + 1)] + [row("w", "wild")]
    strips = [np.zeros((9, 40, 3), np.uint8)] * len(rows)
    names = [path.name for path in sheet.write_pictures(rows, strips, tmp_path)]
    assert names == [
        "sheet-grid-1.png", "curves-grid-1.png", "sheet-grid-2.png", "curves-grid-2.png",
        "sheet-wild-1.png", "curves-wild-1.png",
    ]  # fmt: skip
