"""The figures of ``evaluate multimodal`` from judged clips, and words with times from label files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kouxing.arkit import PLACE
from kouxing.data.animate import Take
from kouxing.eval.closure import Judged
from kouxing.eval.multimodal import TIMED, figures_of, judged
from kouxing.eval.multimodal_sound import DRAWS, holes, spoiled
from kouxing.eval.multimodal_tone import probe, tone, tone_figures
from kouxing.eval.multimodal_words import words_in
from kouxing.face.closure import TYPICAL_DISTANCE
from kouxing.types import Float

TOKEN = (
    '<Annotation><Location><Interval><Begin midpoint="{}"/><End midpoint="{}"/></Interval></Location>'
    "<Label><Tag>{}</Tag></Label></Annotation>"
)
XRA = f"""<Document><Tier tiername="TokensAlign">
{TOKEN.format(0.5, 0.9, "oui")}{TOKEN.format(0.9, 1.2, "#")}</Tier></Document>"""


def row(r: float, hits: int, within: float, name: str = "a") -> tuple[Judged, float, str]:
    return Judged(r, 0.0, hits, 10 - hits, 0, (3, 4), 1.0), within, name


def test_gains_are_over_sound_alone_on_clips_whose_words_are_known() -> None:
    rows = {
        "grid": {
            "sound": {
                # The last clip's words are not known: it must not count.
                "clean": [row(0.8, 8, 0.5), row(0.1, 0, 0.1, "b")],
                "0 dB": [row(0.5, 4, 0.2), row(0.1, 0, 0.1, "b")],
                "muted": [row(0.5, 4, 0.0)],
                "-5 dB": [row(0.3, 4, 0.2)],
            },
            "text + sound": {
                "clean": [row(0.795, 8, 0.5)], "0 dB": [row(0.7, 8, 0.4)], "muted": [row(0.7, 8, 0.45)],
                "-5 dB": [row(0.65, 8, 0.4)],
            },
            "sound + mouth": {"0 dB": [row(0.9, 9, 0.9)], "muted": [row(0.9, 9, 0.6)]},
            TIMED: {"0 dB": [row(0.75, 9, 0.4)], "muted": [row(0.7, 8, 0.475)]},
            "expression": {"clean": [row(0.7, 7, 0.4)], "0 dB": [row(0.45, 4, 0.2)]},
        }
    }  # fmt: skip
    told = figures_of(rows, {"0 dB": [False, True]})
    assert told["clips"] == 1 and told["gain_r_0db"] == 0.2 and told["gain_r_0db_timed"] == 0.25
    assert told["gain_r_minus_5db"] == 0.35
    assert told["silence_sound"] == told["silence_text_sound"] == 0.75
    assert told["gain_f1_0db"] == round(16 / 18 - 8 / 14, 4)
    assert told["clean_loss"] == 0.005 and told["muted_share_text"] == 0.9 and told["muted_share_mouth"] == 1.2
    assert (
        told["muted_share"] == 0.9
        and told["muted_share_timed"] == 0.95
        and told["refused_0db"] == 0.5
        and told["gain_r_0db_expression"] == 0.25
    )
    assert figures_of({"wild": rows["grid"]}, {}) == {}


def test_a_hole_is_judged_by_itself() -> None:
    rng = np.random.default_rng(0)
    gap = rng.random(40).astype(np.float32)
    take = Take(
        name="a", group="grid", speaker="s", mel=np.zeros((160, 80), np.float32), values=np.zeros((40, 52), np.float32),
        channels=np.ones(52, bool), gap=gap, silent=np.zeros(40, bool), found=np.ones(40, bool),
    )  # fmt: skip
    rows = np.zeros((41, 52), np.float32)
    rows[:40, PLACE["jawOpen"]] = gap * TYPICAL_DISTANCE
    rows[10:20, PLACE["jawOpen"]] = 0.3 - gap[10:20] * TYPICAL_DISTANCE
    hole = np.zeros(38, bool)
    hole[10:20] = True
    one, within = judged(take, rows, [hole])
    assert within < -0.99 < 0 < one.r < 1
    assert np.isnan(judged(take, rows, [])[1])
    # Several holes: their mean.
    assert abs(judged(take, rows, [hole, np.roll(hole, 12)])[1]) < 0.05
    assert (
        judged(take, rows, [hole, np.roll(hole, 12), np.zeros(38, bool)])[1]
        == judged(take, rows, [hole, np.roll(hole, 12)])[1]
    )


def test_every_clip_counts_once_however_many_holes_it_has() -> None:
    rows = {
        "grid": {
            "sound": {
                "clean": [row(0.8, 8, 0.5), row(0.8, 8, 0.7, "b")], "0 dB": [row(0.5, 4, 0.2), row(0.1, 4, 0.2, "b")],
                "muted": [row(0.5, 4, 0.1)], "-5 dB": [row(0.5, 4, 0.1)],
            },
            "text + sound": {
                "clean": [row(0.8, 8, 0.5), row(0.8, 8, 0.7, "b")], "0 dB": [row(0.6, 8, 0.4), row(0.7, 8, 0.4, "b")],
                "muted": [row(0.7, 8, 0.1), row(0.7, 8, 0.2), row(0.7, 8, 0.3), row(0.7, 8, 0.7, "b")],
                "-5 dB": [row(0.7, 8, 0.1)],
            },
            "sound + mouth": {"0 dB": [row(0.9, 9, 0.9)], "muted": [row(0.9, 9, 0.9)]},
            TIMED: {"0 dB": [row(0.7, 9, 0.4)], "muted": [row(0.7, 8, 0.6)]},
            "expression": {"clean": [row(0.7, 7, 0.4)], "0 dB": [row(0.4, 4, 0.2)]},
        }
    }  # fmt: skip
    told = figures_of(rows, {})
    assert told["clips"] == 2 and told["muted_share_text"] == round(0.45 / 0.6, 4)
    assert told["gain_r_0db"] == 0.35 and told["gain_r_0db_mean"] == 0.35


def test_holes_lie_at_every_place_that_fits_into_the_speech() -> None:
    assert holes(0.4, 2.2) == [10, 18, 26] and holes(0.4, 1.4) == [10] and holes(0.4, 1.2) == [None]
    rng = np.random.default_rng(0)
    samples = (rng.normal(size=48_000) * np.repeat([0, 1, 0], 16_000)).astype(np.float32)
    sounds = spoiled(samples, 1, [None, 10, 18])
    assert len(sounds["0 dB"]) == DRAWS and not np.array_equal(sounds["0 dB"][0][0], sounds["0 dB"][1][0])
    for (made, hole), first in zip(sounds["muted"], (25, 10, 18), strict=True):
        assert hole is not None and np.flatnonzero(hole).tolist() == list(range(first, first + 25))
        gone = np.repeat(hole, 640)
        assert (made[gone] == 0).all() and np.array_equal(made[~gone], samples[~gone])
    again = spoiled(samples, 1)
    assert len(again["muted"]) == 1 and all(np.array_equal(again[name][0][0], sounds[name][0][0]) for name in sounds)


def test_words_come_from_tokens_and_not_from_noises(tmp_path: Path) -> None:
    path = tmp_path / "a.xra"
    path.write_text(XRA, encoding="utf-8")
    (word,) = words_in(path)
    assert (word.text, word.start_s, word.end_s) == ("oui", 0.5, 0.9)


def test_a_tone_that_is_in_the_feature_is_found_and_one_that_is_not_is_not() -> None:
    rng = np.random.default_rng(0)

    def clip(kept: bool) -> tuple[Float, Float]:
        mel = (
            rng.normal(size=(80, 1))
            + rng.normal(size=(80, 80)) * 0.1
            + np.linspace(0, 1, 80) * rng.normal(size=(80, 1))
        )
        mixed = rng.normal(size=(80, 6))
        mixed[:, :2] += 5 * tone(mel) if kept else 0
        return mixed.astype(np.float32), mel.astype(np.float32)

    told = tone_figures([clip(True) for _ in range(8)])
    assert told["tone_loudness_r2"] > 0.9 and told["tone_slope_r2"] > 0.8
    assert tone_figures([clip(False) for _ in range(8)])["tone_loudness_r2"] < 0.1
    assert tone_figures([clip(True)]) == {}
    rows, tones = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    assert probe((rows, tones), (rows, np.ones((50, 2))))["slope"] < 0
