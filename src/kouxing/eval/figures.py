"""Measured figures: ``docs/figures/<name>.json``, and the tables of the README and docs/figures.md made from them.

Whoever measures calls ``write``; several commands may fill one file, each its own keys.
``python -m kouxing.eval.figures`` rewrites the README between ``<!-- figures:NAME -->`` and ``<!-- /figures -->``;
a test fails where they differ.
"""

from __future__ import annotations

import json
import math
import operator
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kouxing import config
from kouxing.errors import DataError, OutputError


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: what was measured.
        sign: how the figure compares with the goal (``≥ ≤ > < =``), or ``≈`` where nobody judges.
        goal: in ``unit``.
        unit: printed behind figure and goal.
        digits: decimals.
    """

    label: str
    sign: str
    goal: float
    unit: str = ""
    digits: int = 2


SIGNS: dict[str, Callable[[float, float], bool]] = {
    "≥": operator.ge,
    "≤": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}


def _both(
    key: str, label: str, sign: str = "", grid: float = 0, wild: float | None = None, digits: int = 2
) -> dict[str, Row]:
    """Two lines, of the studio and of the wild."""
    goals = (grid, grid if wild is None else wild)
    labels = (f"{label}, studio", "the same, in the wild")
    parts = zip(("grid", "wild"), labels, goals, strict=True)
    return {f"{key}_{part}": Row(said, sign, goal, "", digits) for part, said, goal in parts}


LABELS: dict[str, dict[str, Row]] = {
    "dub": {
        "self_r_grid": Row(
            "Own speech: mouth opening, correlation with the real mouth, studio (GRID), median", "≥", 0.65
        ),
        "self_r_wild": Row("the same, in the wild", "≥", 0.40),
        "self_lag_ok": Row("Own speech: studio clips at most one frame early or late", "≥", 0.80),
        "psnr_gain_db": Row("Own speech: lower face, PSNR above a copied mouth", ">", 0, "dB"),
        "lmd_ratio": Row("Own speech: lip-landmark distance against a copied mouth's", "<", 1),
        "cross_r_grid": Row("Another clip's speech: correlation with that clip's real mouth, studio", "≥", 0.60),
        "cross_r_wild": Row("the same, in the wild", "≥", 0.33),
        "wrong_r": Row("Baseline: correlation with the mouth of unrelated speech", "≈", 0),
        "silence_score": Row("Silent frames with closed lips", "≥", 0.85),
        "outside_mask_diff": Row("Largest change of a sample outside the mask, before encoding", "=", 0, digits=0),
        "sharpness_ratio": Row("Sharpness of the mouth against the real one", "≥", 0.6),
        "mouth_gain_low": Row("Mean opening with `--mouth 0.6` against 1.0", "<", 1),
        "mouth_gain_high": Row("Mean opening with `--mouth 1.4` against 1.0", ">", 1),
        "fps_fast": Row("Whole pipeline, 720p, 2 cores, `--preset fast`", "≥", 25, "frames/s", 1),
        "fps_fine": Row("the same, `--preset fine`", "≥", 10, "frames/s", 1),
        "net_speedup_vs_wav2lip": Row(
            "Our `fast` network (256×256) against one of Wav2Lip's shape (96×96)", "≥", 2, "×"
        ),
        "mem_growth": Row("Peak memory, 10 minutes of video against 1", "≤", 1.15, "×"),
        "peak_mb": Row("Peak memory, 10 minutes of 720p video", "≤", 1500, "MB", 0),
    },
    "animate": {
        "r_grid": Row("Lip distance, correlation with the real gap, studio (GRID), median", "≥", 0.80),
        "r_wild": Row("the same, in the wild", "≥", 0.52),
        "loudness_r_grid": Row("Baseline: loudness, studio", "≈", 0.60),
        "loudness_r_wild": Row("Baseline: loudness, in the wild", "≈", 0.30),
        "r_mocap_zh": Row("jawOpen of Mandarin motion capture", "≥", 0.75),
        "closure_f1_grid": Row("Lips closed when really closed, F1, studio", "≥", 0.80),
        "closure_f1_wild": Row("the same, in the wild", "≥", 0.50),
        "closure_f1_baseline_grid": Row("Baseline: loudness, threshold fitted in hindsight, studio", "≈", 0.72),
        "closure_f1_baseline_wild": Row("the same, in the wild", "≈", 0.44),
        "closure_f1_speech_grid": Row("Closure F1 inside speech, without pauses, studio", "≈", 0.7),
        "closure_f1_bilabial_grid": Row("Closure F1 about p, b and m, studio, words known", "", 0),
        "closure_f1_ablated_grid": Row("Closure F1 without the closure loss, studio", "≈", 0.7),
        "silence_score": Row("Silent frames with closed lips, studio", "≥", 0.95),
        "lag_ms": Row("Lag, studio, median (within ±20)", "≤", 20, "ms", 0),
        "jitter_ratio": Row("Acceleration energy against the real", "≤", 1.3),
        "live_r_grid": Row("`expression` live: lip distance, studio", "≥", 0.80),
        "live_r_wild": Row("`expression` live: in the wild", "≥", 0.52),
        "live_closure_f1_grid": Row("`expression` live: closure F1, studio", "≥", 0.80),
        "live_closure_f1_wild": Row("`expression` live: closure F1, in the wild", "≥", 0.50),
        "live_closure_f1_speech_grid": Row("`expression` live: closure F1 inside speech, studio", "", 0),
        "live_closure_f1_bilabial_grid": Row("`expression` live: closure F1 about p, b and m, studio", "", 0),
        "live_silence_score": Row("`expression` live: silent frames with closed lips", "≥", 0.95),
        "live_r_mocap_zh": Row("`expression` live: jawOpen of Mandarin motion capture", "≥", 0.75),
        "live_lag_ms": Row("`expression` live: lag, studio, median (within ±20)", "≤", 20, "ms", 0),
        "live_jitter_ratio": Row("`expression` live: acceleration energy against the real", "≤", 1.3),
        "lookahead_ms": Row("`expression` live: sound that a row waits for", "≤", 100, "ms", 0),
        "ms_per_frame_p50": Row("Work per 16.7 ms frame on one core, median", "≤", 3, "ms"),
        "ms_per_frame_p99": Row("the same, 99th percentile", "≤", 10, "ms"),
        "model_mb": Row("`expression` live: model", "≤", 10, "MB", 1),
        "rtf": Row("Real-time factor, whole file, one core", "≤", 0.1, "", 3),
        "chunk_diff": Row("Largest difference of pieces to the whole", "≤", 1e-5, "", 7),
        "mouth_r_grid": Row("`mouth`: lip distance, studio", "≥", 0.80),
        "mouth_r_wild": Row("`mouth`: in the wild", "≥", 0.52),
        "mouth_closure_f1_grid": Row("`mouth`: closure F1, studio", "≥", 0.80),
        "mouth_silence_score": Row("`mouth`: silent frames with closed lips", "≥", 0.95),
        "mouth_closure_f1_wild": Row("`mouth`: closure F1, in the wild", "≥", 0.50),
        "mouth_closure_f1_speech_grid": Row("`mouth`: closure F1 inside speech, studio", "", 0),
        "mouth_closure_f1_bilabial_grid": Row("`mouth`: closure F1 about p, b and m, studio, words known", "", 0),
        "mouth_r_mocap_zh": Row("`mouth`: jawOpen of Mandarin motion capture", "≥", 0.75),
        "mouth_lag_ms": Row("`mouth`: lag, studio, median (within ±20)", "≤", 20, "ms", 0),
        "mouth_jitter_ratio": Row("`mouth`: acceleration energy against the real", "≤", 1.3),
        "mouth_lookahead_ms": Row("`mouth`: sound that a row waits for", "≤", 100, "ms", 0),
        "mouth_ms_per_frame_p50": Row("`mouth`: work per 16.7 ms frame on one core, median", "≤", 3, "ms"),
        "mouth_ms_per_frame_p99": Row("`mouth`: the same, 99th percentile", "≤", 10, "ms"),
        "mouth_model_mb": Row("`mouth`: model", "≤", 10, "MB", 1),
        "mouth_rtf": Row("`mouth`: real-time factor, whole file, one core", "≤", 0.1, "", 3),
        "mouth_chunk_diff": Row("`mouth`: largest difference of pieces to the whole", "≤", 1e-5, "", 7),
        "viseme_r_grid": Row("Rival: visemes from our phones, lip distance, studio", "", 0),
        "viseme_r_wild": Row("the same, in the wild", "", 0),
        "viseme_closure_f1_grid": Row("Rival: visemes, closure F1, threshold fitted in hindsight, studio", "", 0),
        "viseme_closure_f1_wild": Row("the same, in the wild", "", 0),
        "viseme_closure_f1_bilabial_grid": Row("Rival: visemes, closure F1 about p, b and m, studio", "", 0),
        "viseme_lookahead_ms": Row("Rival: visemes, sound that a row waits for, at least", "", 0, "ms", 0),
        "viseme_rtf": Row("Rival: visemes, real-time factor", "", 0, "", 3),
        "viseme_words_r_grid": Row("Rival: visemes of known words, lip distance, studio", "", 0),
        "viseme_words_closure_f1_grid": Row("the same, closure F1", "", 0),
        "viseme_words_closure_f1_bilabial_grid": Row("the same, about p, b and m", "", 0),
        "rhubarb_r_grid": Row("Rival: Rhubarb Lip Sync itself in our poses, lip distance, studio", "", 0),
        "rhubarb_r_wild": Row("the same, in the wild", "", 0),
        "rhubarb_closure_f1_grid": Row("Rival: Rhubarb, closure F1, threshold fitted in hindsight, studio", "", 0),
        "rhubarb_closure_f1_wild": Row("the same, in the wild", "", 0),
        "rhubarb_closure_f1_bilabial_grid": Row("Rival: Rhubarb, closure F1 about p, b and m, studio", "", 0),
        "loudness_closure_f1_bilabial_grid": Row("Rival: loudness, closure F1 about p, b and m, studio", "", 0),
        "loudness_lookahead_ms": Row("Rival: loudness, one frame of sound", "", 0, "ms", 0),
        "loudness_rtf": Row("Rival: loudness, real-time factor", "", 0, "", 4),
        "gltf_errors": Row("Errors that Khronos' glTF validator finds in avatars and their animations", "=", 0, "", 0),
    },
    "sync": {
        "within1_grid": Row("Planted offset found within a frame, whole clips, studio (GRID)", "≥", 0.98),
        "within1_wild": Row("the same, in the wild", "≥", 0.90),
        "within1_1s_grid": Row("Windows of 1 s, studio", "≥", 0.95),
        "within1_1s_wild": Row("the same, in the wild", "≥", 0.82),
        "baseline_landmark_within1_grid": Row("Baseline: heard against tracked opening, whole clips, studio", "", 0),
        "baseline_landmark_within1_wild": Row("the same, in the wild", "", 0),
        "baseline_landmark_within1_1s_grid": Row("Baseline: windows of 1 s, studio", "", 0),
        "baseline_landmark_within1_1s_wild": Row("the same, in the wild", "", 0),
        "own_zero_grid": Row("Clips as they are: within a frame of 0, studio", "", 0),
        "own_zero_wild": Row("the same, in the wild (some are out of step)", "", 0),
        "auc5_grid": Row("True against false pairs of 5 frames, AUC, studio", "≥", 0.85),
        "auc5_wild": Row("the same, in the wild", "≥", 0.75),
        "auc25_grid": Row("Pairs of 25 frames, studio", "≥", 0.99),
        "auc25_wild": Row("the same, in the wild", "≥", 0.95),
        "stage1_score": Row("Mean AUC, clean and spoiled in six ways: discriminator 1", "", 0, "", 3),
        "stage2_score": Row("discriminator 2 (filter, growing margin)", "", 0, "", 3),
        "stage3_score": Row(
            "discriminator 3 (near misses, spoiled pairs), the mean of two runs that ships", "", 0, "", 3
        ),
        "baseline_onestage_score": Row("Baseline: one stage, fixed margin, as many steps", "", 0, "", 3),
        "filter_dropped": Row("Filter: clips with wrong sound that are dropped", "≥", 0.9),
        "filter_dropped_grid": Row("the same, studio", "", 0),
        "filter_dropped_wild": Row("the same, in the wild", "", 0),
        "filter_dropped_words": Row("the same, single words of 1.2 s", "", 0),
        "filter_realigned": Row("Filter: shifted clips that are put in step", "≥", 0.8),
        "filter_realigned_grid": Row("the same, studio", "", 0),
        "filter_realigned_wild": Row("the same, in the wild", "", 0),
        "filter_realigned_words": Row("the same, single words", "", 0),
        "filter_kept": Row("Filter: good clips that are kept", "≥", 0.9),
        "filter_kept_grid": Row("the same, studio", "", 0),
        "filter_kept_wild": Row("the same, in the wild", "", 0),
        "filter_kept_words": Row("the same, single words", "", 0),
        "calibration_error": Row("Told chance against share of right offsets, mean distance", "", 0),
        "calibration_sure_wrong": Row("Wrong among windows told to be right by 80 % or more", "", 0, "", 3),
        "ms_per_window": Row("Work per window on one core", "≤", 5, "ms"),
        "model_mb": Row("Both encoders", "≤", 5, "MB", 1),
        "fix_within1": Row("`--fix`: planted offsets mended to within a frame (refused ones count as not)", "≥", 0.9),
        "fix_within1_grid": Row("the same, studio", "", 0),
        "fix_within1_wild": Row("the same, in the wild", "", 0),
        "fix_refused": Row("`--fix`: refused", "", 0),
        "fix_refused_grid": Row("the same, studio (3 s each)", "", 0),
        "fix_refused_wild": Row("the same, in the wild", "", 0),
        "fix_wrong": Row("`--fix`: moved by a wrong offset", "", 0),
        "fix_wrong_grid": Row("the same, studio", "", 0),
        "fix_wrong_wild": Row("the same, in the wild", "", 0),
        "fix_same_pictures": Row("`--fix`: files whose picture packets are byte for byte the source's", "=", 1, "", 0),
        "score_false": Row("Clips with another's sound that get an answer", "", 0),
        "speed_x": Row("Scoring 720p footage, tracking included, 2 cores", "≥", 5, "× real time", 1),
        "core_ms": Row("the same, work per picture", "", 0, "ms", 1),
        "mem_growth": Row("Peak memory, 5 minutes against 1", "≤", 1.15, "×"),
        "peak_mb": Row("Peak memory", "", 0, "MB", 0),
        "prepare_x": Row("Preparing 30 minutes of 720p footage, 2 cores", "≥", 3, "× real time", 1),
        "prepare_resume": Row("Killed and resumed ten times: the same files", "=", 1, "", 0),
        "prepare_core_s": Row("Preparing: core-seconds per second of footage", "", 0),
        "prepare_mb": Row("Preparing: peak memory of a process", "", 0, "MB", 0),
    },
    "live": {
        "p50_ms": Row("Sound in → coefficients out, over loopback, look-ahead included, median", "≤", 120, "ms", 0),
        "p99_ms": Row("the same, 99th percentile", "≤", 200, "ms", 0),
        "sessions": Row("Sessions at once at 60 rows a second without a drop", "≥", 20, "", 0),
        "p50_ms_loaded": Row("Delay with that many sessions, median", "", 0, "ms", 0),
        "p99_ms_loaded": Row("the same, 99th percentile", "≤", 250, "ms", 0),
        "drops": Row("Rows dropped or missing with that many sessions", "=", 0, "", 0),
        "cores_loaded": Row("Processor cores that the server then takes", "", 0),
        "interrupt_ms": Row("Interruption → mouth at rest, worst of 20", "≤", 150, "ms", 0),
        "interrupt_ms_median": Row("the same, median", "", 0, "ms", 0),
        "text_ms": Row("Text → first lip motion, median of 20", "≤", 250, "ms", 0),
        "text_ms_worst": Row("the same, worst", "", 0, "ms", 0),
        "silence_motion": Row("Largest move of a mouth coefficient while nobody speaks", "=", 0, "", 3),
        "recover_ms": Row("Worker killed → rows go on, worst", "≤", 1000, "ms", 0),
        "recover_drops": Row("Rows lost by that", "=", 0, "", 0),
        "rendered_fps": Row("Rendered footage session, 512×512", "≥", 25, "frames/s", 1),
        "skew_ms": Row("Lips against sound in a real browser, largest over 10 minutes (within ±20)", "≤", 20, "ms", 0),
        "soak_growth": Row("Memory at the end of a soak with 10 sessions, against warm", "≤", 0.05, "", 3),
        "soak_minutes": Row("Length of that soak", "", 0, "min", 0),
        "soak_mb": Row("Memory of server and workers with 10 sessions", "", 0, "MB", 0),
        "soak_leaked": Row("Processes and open files left after it", "=", 0, "", 0),
        "soak_drops": Row("Rows dropped in it", "", 0, "", 0),
    },
    "multimodal": {
        "gain_r_0db": Row("Sound at 0 dB: correlation gained by the text, laid onto the noisy sound", "≥", 0.10),
        "gain_f1_0db": Row("the same, closure F1", "≥", 0.10),
        "gain_r_0db_mean": Row("the same, correlation, mean over the clips of each one's own gain", "", 0),
        "gain_r_0db_timed": Row("the same, correlation, words' times known", "≥", 0.10),
        "gain_f1_0db_timed": Row("the same, closure F1, words' times known", "≥", 0.10),
        "gain_r_0db_mouth": Row("Sound at 0 dB: correlation gained by mouth pictures", "≥", 0.10),
        "gain_r_0db_expression": Row("Text and sound at 0 dB above `expression`", "", 0),
        "muted_share_text": Row("Inside a muted second: text and sound, share of clean sound's correlation", "≥", 0.8),
        "muted_share_timed": Row("the same, words' times known", "≥", 0.8),
        "muted_share_mouth": Row("the same, mouth pictures and sound", "≥", 0.8),
        "muted_share": Row("the lower of both", "≥", 0.8),
        "muted_share_sound": Row("Baseline: sound alone", "≈", 0),
        "clean_loss": Row("Clean sound: correlation lost by adding text", "≤", 0.01, "", 3),
        "align_40ms": Row("Word boundaries within 40 ms, held-out sentences of GRID s1", "≥", 0.80),
        "align_40ms_fr": Row("the same, French recordings, held out", "≥", 0.80),
        "align_40ms_en": Row("the same, English recordings, held out", "≥", 0.80),
        "right_text_refused": Row("Right texts held for wrong", "≤", 0.05),
        "wrong_text_refused": Row("Wrong texts found, most of them other sentences of the same grammar", "≥", 0.9),
        "vs_lips": Row("Painted faces against `lips` from sound: sharpness and PSNR, the lower ratio", "≥", 0.9),
        "tone_loudness_r2": Row("Loudness of other clips' voices, read linearly from the joint feature, R²", "", 0),
        "tone_slope_r2": Row("the same, its spectral slope", "", 0),
        **{
            f"joins_{join}_{key}": Row(f"{label}{join}", "", 0)
            for join in ("modulation", "concatenation", "contrastive")
            for key, label in (
                ("r", "As many steps and numbers, held out, mean correlation: "),
                ("loudness_r2", "the same, loudness from the joint feature, R²: "),
                ("slope_r2", "the same, spectral slope, R²: "),
            )
        },
    },
    "lips": {
        **_both(
            "cross_r", "Another clip's speech: mouth opening, correlation with that clip's real mouth", "≥", 0.70, 0.42
        ),
        "cross_r_wild_in_step": Row(
            "the same, clips whose sound is out of step moved by what the sync discriminator says", "≥", 0.42
        ),
        **_both("self_r", "Own speech: correlation with the real mouth"),
        "self_r_wild_in_step": Row("the same, put in step", "", 0),
        "late_clips_wild": Row("Clips in the wild whose sound is out of step by more than a frame", "", 0, "", 0),
        **_both("truth_r", "Baseline: the real mouth, cropped, pasted and tracked again"),
        **_both("copy_r", "Baseline: a copied mouth"),
        **_both("wrong_r", "Baseline: unrelated speech"),
        **_both("old_r", "Own speech, the first weights"),
        "lsec_gap": Row("Another clip's speech: LSE-C under the real clip's, by our own sync discriminator", "≤", 0.8),
        **_both("lsec_gap", "LSE-C under the real clip's"),
        **_both("lsec_gap_self", "LSE-C under the real clip's, own speech"),
        **_both("lsec_real", "LSE-C, real clips"),
        **_both("lsec_cross", "LSE-C, ours, another clip's speech"),
        **_both("lsec_self", "LSE-C, ours, own speech"),
        **_both("lsec_copy", "LSE-C, a copied mouth"),
        **_both("lsec_chance", "LSE-C, real mouths with unrelated speech"),
        "lsed_gap": Row("Another clip's speech: LSE-D over the real clip's", "≤", 0.8),
        **_both("lsed_gap", "LSE-D over the real clip's"),
        **_both("lsed_gap_self", "LSE-D over the real clip's, own speech"),
        **_both("lsed_real", "LSE-D, real clips"),
        **_both("lsed_cross", "LSE-D, ours, another clip's speech"),
        **_both("lsed_self", "LSE-D, ours, own speech"),
        **_both("lsed_copy", "LSE-D, a copied mouth"),
        **_both("lsed_chance", "LSE-D, real mouths with unrelated speech"),
        "sharpness_ratio": Row("Sharpness of the mouth against the real one (0.8 to 1.25)", "≥", 0.8),
        **_both("sharpness_ratio", "Sharpness of the mouth against the real one"),
        **_both("sharpness_fine", "Energy of detail under 2 px against the real"),
        **_both("sharpness_middle", "Energy of detail of 2 to 4 px against the real"),
        **_both("sharpness_coarse", "Energy of detail of 4 to 8 px against the real"),
        "ssim_gain": Row("Own speech: lower face, share of the first weights' 1 - SSIM that is gone", "≥", 0.15),
        **_both("ssim_gain", "Share of the first weights' 1 - SSIM that is gone"),
        **_both("ssim_self", "Own speech: lower face, SSIM"),
        **_both("ssim_old", "SSIM, the first weights"),
        **_both("ssim_copy", "SSIM, a copied mouth"),
        **_both("ssim_truth", "SSIM, the real mouth cropped and pasted"),
        "perceptual_gain": Row(
            "Own speech: lower face, share of the first weights' perceptual distance that is gone", "≥", 0.15
        ),
        **_both("perceptual_gain", "Share of the first weights' perceptual distance that is gone"),
        **_both("perceptual_self", "Own speech: lower face, perceptual distance (MS-GMSD)", digits=4),
        **_both("perceptual_old", "Perceptual distance, the first weights", digits=4),
        **_both("perceptual_copy", "Perceptual distance, a copied mouth", digits=4),
        **_both("perceptual_truth", "Perceptual distance, the real mouth cropped and pasted", digits=4),
        "flicker_ratio": Row(
            "Outside speech, head still: change of the lower face from frame to frame against the real", "≤", 1.2
        ),
        **_both("flicker_ratio", "Change from frame to frame outside speech against the real"),
        **_both("flicker_truth", "Change from frame to frame, the real mouth cropped and pasted"),
        "silence_score": Row("Silent frames with closed lips", "≥", 0.93),
        **_both("silence_score", "Silent frames with closed lips"),
        **_both("silence_real", "Silent frames with closed lips, real clips"),
        "drift": Row("Nose and cheeks: distance from the real ones over the face's width", "≤", 0.01, digits=4),
        **_both("drift", "Nose and cheeks: distance from the real ones over the face's width", digits=4),
        **_both("drift_truth", "Nose and cheeks: distance, the real mouth cropped and pasted", digits=4),
        "language_gap": Row("Own speech in the wild: correlation, best language minus worst", "", 0),
        "fit_gain_db_grid": Row("`fit`: lower-face PSNR over the shipped network, s1, new sentences", "≥", 2, "dB"),
        "fit_gain_db_wild": Row("the same, the last quarter of a long clip in the wild", "≥", 2, "dB"),
        "fit_r_grid_before": Row("Correlation of the mouth opening, GRID s1, shipped", "", 0),
        "fit_r_grid_after": Row("the same, fitted", "", 0),
        "fit_r_wild_before": Row("Correlation of the mouth opening, in the wild, shipped", "", 0),
        "fit_r_wild_after": Row("the same, fitted", "", 0),
        "fit_sharpness_grid_before": Row("Sharpness of the mouth against the real, GRID s1, shipped", "", 0),
        "fit_sharpness_grid_after": Row("the same, fitted", "", 0),
        "fit_sharpness_wild_before": Row("Sharpness of the mouth against the real, in the wild, shipped", "", 0),
        "fit_sharpness_wild_after": Row("the same, fitted", "", 0),
        "fit_minutes_grid": Row("`fit` on 60 s of a person", "≤", 15, "minutes", 1),
        "fit_minutes_wild": Row("`fit` on 18 s", "≤", 15, "minutes", 1),
        "fit_core_minutes_grid": Row("`fit` on 60 s: work of one core", "", 0, "minutes", 1),
        "fit_core_minutes_wild": Row("`fit` on 18 s: work of one core", "", 0, "minutes", 1),
        "opening_monotone": Row("Steps of `--mouth` 0.4 to 1.8 at which the mouth opens wider", "=", 1),
        "opening_bend": Row("Largest change between two steps over the mean step (0: a line)", "≤", 0.5),
        "opening_low": Row("Mean opening at 0.4 against 1.0", "", 0),
        "opening_high": Row("Mean opening at 1.8 against 1.0", "", 0),
        "quiet_plain": Row("Speech 35 dB too soft: mean opening against ordinary speech", "", 0),
        "quiet_auto": Row("the same with `--mouth auto`", "", 0),
        "mumbled_plain": Row("Mumbled speech (under 700 Hz): mean opening against ordinary speech", "", 0),
        "mumbled_auto": Row("the same with `--mouth auto`", "", 0),
        "clear_auto": Row("Ordinary speech with `--mouth auto`", "", 0),
        "real_phone_error": Row("Lip reader on real mouths, GRID s1, sentences not seen: phone error", "", 0),
        "dubbed_phone_error": Row("the same on dubbed mouths", "", 0),
        "lipread_ratio": Row("Lip-reading error, dubbed over real: phones, which is what the reader reads", "≤", 1.5),
        "real_word_error": Row("Lip reader on real mouths: word error, GRID's grammar known", "", 0),
        "dubbed_word_error": Row("the same on dubbed mouths", "", 0),
        "word_ratio": Row("the same by words, 192 of them", "≤", 1.5),
    },
}
"""File name -> key -> table line, in the order of the table."""

BY_LANGUAGE = {
    "clips": Row("clips", "", 0, "", 0),
    "r": Row("correlation, median", "", 0),
    "cross_r": Row("another face's speech: correlation, median", "", 0),
    "closure_f1": Row("closure F1", "", 0),
}
"""Columns of the table by language."""

LANGUAGE = re.compile(rf"({'|'.join(BY_LANGUAGE)})_lang_([a-z]{{2,3}})")
"""Keys of figures by language; they get a table of their own."""

SHAPES = {
    "copy": "a copied mouth",
    "fast": "`fast`",
    "fine": "`fine`",
    "wav2lip": "Wav2Lip's shape",
    "ultralight": "Ultralight's shape",
    "shipped_fast": "`fast` as shipped",
}
SHAPE_COLUMNS = {
    "gmac": Row("GMAC a frame", "", 0),
    "mparams": Row("million parameters", "", 0, digits=1),
    "ms": Row("ms of one core", "", 0, digits=1),
    "psnr_db": Row("PSNR, dB", "", 0),
    "ssim": Row("SSIM", "", 0, digits=3),
    "sharpness": Row("sharpness / real", "", 0),
    "lip_distance": Row("lips off, % of face width", "", 0),
    "r_grid": Row("correlation, studio", "", 0),
    "r_wild": Row("correlation, wild", "", 0),
}
"""Networks of several shapes side by side (``shapes``): rows and columns of a table of its own."""

ABLATION = {
    "mouth": "`mouth`",
    "mouth_no_masking": "without random-length masking",
    "mouth_no_attention": "without attention",
    "mouth_no_similarity": "without the similarity step",
    "mouth_no_phones": "without phone pre-training",
    "expression": "`expression`",
    "expression_no_closure": "without the closure loss and what draws lips together",
}
ABLATION_COLUMNS = {
    f"{group}_{key}": Row(f"{label}, {where}", "", 0, digits=3)
    for key, label in (("r", "correlation"), ("f1", "closure F1"))
    for group, where in (("grid", "studio"), ("words", "words"), ("wild", "wild"), ("mocap", "capture"))
}
"""Parts left out of the animation models (``ablation``), in the same way."""

LIPS_ABLATION = {
    "whole": "`lips`",
    "no_sync": "without the sync expert",
    "no_lipread": "without the lip-reading expert",
    "no_gan": "without critics",
    "no_perceptual": "without the perceptual loss",
    "no_texture": "without the texture loss",
    "no_gradient": "without the gradient loss",
    "no_landmarks": "without the landmark loss",
    "no_warp": "without the warp loss",
    "no_indecision": "without the loss on indecision",
}
LIPS_ABLATION_COLUMNS = {
    "l1": Row("L1", "", 0, digits=4),
    "sharpness": Row("sharpness / real", "", 0, digits=3),
    "gap_error_px": Row("error of the read opening, px", "", 0, digits=2),
    "gap_r": Row("its correlation", "", 0, digits=3),
}
"""Losses left out of the generator's last steps (``lips_ablation``)."""

GRIDS = {
    "lips_ablation": (LIPS_ABLATION, LIPS_ABLATION_COLUMNS, "l1"),
    "shapes": (SHAPES, SHAPE_COLUMNS, "psnr_db"),
    "ablation": (ABLATION, ABLATION_COLUMNS, "grid_r"),
}
"""Tables of rows and columns: file name -> both, and the column that every measured row has."""

MARKED = re.compile(r"(<!-- figures:([\w-]+)( goals)? -->\n).*?(<!-- /figures -->)", re.DOTALL)


def root() -> Path:
    """The checkout that this module lies in.

    Raises:
        OutputError: kouxing is installed without its repository.
    """
    place = Path(__file__).resolve().parents[3]
    if not (place / "pyproject.toml").is_file():
        raise OutputError(f"{place}: is no checkout of kouxing; figures are written from a clone installed with -e")
    return place


def write(name: str, command: str, figures: Mapping[str, float], notes: str = "", folder: Path | None = None) -> Path:
    """Put ``figures`` into ``docs/figures/<name>.json``; keys that other commands wrote stay.

    Args:
        name: file name without suffix.
        command: the command line that measured; running it again replaces what it wrote before.
        figures: key -> number; NaN and infinity are kept as null.
        notes: one line that a reader of the figures needs to know.
        folder: where to; the checkout's ``docs/figures`` by default.

    Returns:
        The written file.

    Raises:
        DataError: the file that is there is not one of ours.
        OutputError: it cannot be written.
    """
    place = folder or root() / "docs" / "figures"
    path = place / f"{name}.json"
    old = load(name, place)
    numbers = {key: _number(value) for key, value in figures.items()}
    runs: dict[str, Any] = {}
    for said, run in old.get("commands", {}).items():
        # What is measured anew belongs to the new command alone; a command whose keys are all gone goes too.
        kept = [key for key in run["keys"] if key not in numbers]
        if said != command and kept:
            runs[said] = {**run, "keys": kept}
    run = {"commit": commit(), "machine": machine(), "keys": sorted(numbers)}
    runs[command] = {**run, "notes": notes} if notes else run
    held = {key for each in runs.values() for key in each["keys"]}
    merged = {key: value for key, value in {**old.get("figures", {}), **numbers}.items() if key in held}
    told = {
        "command": " && ".join(runs),
        "commit": run["commit"],
        "machine": run["machine"],
        "figures": _ordered(name, merged),
        "commands": runs,
    }
    _write_text(path, json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def of_table(name: str, figures: Mapping[str, float]) -> dict[str, float]:
    """Those of ``figures`` that the table ``name`` has a line for; all where there is no such table."""
    lines = LABELS.get(name)
    if lines is None:
        return dict(figures)
    languages = "language_gap" in lines
    return {key: value for key, value in figures.items() if key in lines or (languages and LANGUAGE.fullmatch(key))}


def load(name: str, folder: Path | None = None) -> dict[str, Any]:
    """The file's content; ``{}`` where there is none yet.

    Raises:
        DataError: it cannot be read as figures.
    """
    path = (folder or root() / "docs" / "figures") / f"{name}.json"
    if not path.exists():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON; remove it and measure again") from error
    if not isinstance(told, dict) or not isinstance(told.get("figures"), dict):
        raise DataError(f"{path}: holds no figures; remove it and measure again")
    return told


def tables(text: str, folder: Path | None = None) -> str:
    """``text`` with each marked table made anew from its JSON file.

    Args:
        text: Markdown with ``<!-- figures:NAME -->`` and ``<!-- /figures -->`` on lines of their own; of
            ``<!-- figures:NAME goals -->`` only rows with a goal, and those that they speak of, are shown.
        folder: where the JSON files are; the checkout's ``docs/figures`` by default.
    """
    return MARKED.sub(lambda found: f"{found[1]}\n{table(found[2], folder, bool(found[3]))}\n{found[4]}", text)


def table(name: str, folder: Path | None = None, goals: bool = False) -> str:
    """One Markdown table: every labelled key with its goal, also those that nobody measured yet; or rows with one."""
    told = load(name, folder)
    figures = told.get("figures", {})
    rows = {
        **LABELS.get(name, {}),
        **{
            key: Row(f"`{key}`", "", 0)
            for key in figures
            if key not in LABELS.get(name, {}) and not LANGUAGE.fullmatch(key)
        },
    }
    lines = ["| | goal | measured | met |", "|---|--:|--:|:-:|"]
    for key, row in (_with_goals(rows) if goals else rows).items():
        value = figures.get(key)
        goal = f"{row.sign} {_short(row.goal)} {row.unit}".strip() if row.sign else ""
        lines.append(f"| {row.label} | {goal} | {_shown(value, row)} | {_met(value, row)} |")
    if name in GRIDS:
        lines = _grid(figures, *GRIDS[name])
    elif not goals:
        lines += _languages(figures)
    for command, run in told.get("commands", {}).items():
        notes = f" {run['notes']}" if run.get("notes") else ""
        lines.append(f"\n`{command}`: {run['machine']}; commit {run['commit'][:10]}.{notes}")
    return "\n".join(lines) + "\n"


def _with_goals(rows: Mapping[str, Row]) -> dict[str, Row]:
    """Rows with a goal, and before "the same …" the row that it speaks of."""
    kept: dict[str, Row] = {}
    spoken_of: tuple[str, Row] | None = None
    for key, row in rows.items():
        if not row.label.startswith("the same"):
            spoken_of = (key, row)
        if row.sign:
            if spoken_of is not None:
                kept.setdefault(*spoken_of)
            kept[key] = row
    return kept


def _languages(figures: Mapping[str, float | None]) -> list[str]:
    """Lines of the table by language; none where nothing was measured so."""
    found = sorted({match[2] for key in figures if (match := LANGUAGE.fullmatch(key))})
    if not found:
        return []
    columns = {key: row for key, row in BY_LANGUAGE.items() if any(f"{key}_lang_{one}" in figures for one in found)}
    lines = ["", f"| language | {' | '.join(row.label for row in columns.values())} |", f"|---|{'--:|' * len(columns)}"]
    for language in found:
        cells = (_shown(figures.get(f"{key}_lang_{language}"), row) for key, row in columns.items())
        lines.append(f"| {language} | {' | '.join(cells)} |")
    return lines


def _grid(
    figures: Mapping[str, float | None], rows: Mapping[str, str], columns: Mapping[str, Row], needed: str
) -> list[str]:
    """Lines of a table of rows and columns: a row for each that was measured."""
    titles = [row.label for row in columns.values()]
    lines = [f"| | {' | '.join(titles)} |", f"|---|{'--:|' * len(titles)}"]
    for row, title in rows.items():
        if f"{row}_{needed}" in figures:
            cells = (_shown(figures.get(f"{row}_{key}"), column) for key, column in columns.items())
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


PAGES = ("README.md", "docs/figures.md")


def refresh(page: Path) -> bool:
    """Rewrite a page's tables; True if something changed.

    Raises:
        OutputError: the page cannot be written.
    """
    old = page.read_text(encoding="utf-8")
    new = tables(old)
    if new != old:
        _write_text(page, new)
    return new != old


def machine() -> str:
    """Processor, cores this process may use, system and Python in one line."""
    name = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", told.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        name = found[1].strip() if found else name
    cores = config.cores()
    return f"{name}, {cores} core{'s' if cores > 1 else ''}, {platform.system()}, Python {platform.python_version()}"


def commit() -> str:
    """The checkout's commit; with ``+changes`` where the package's source differs from it, ``unknown`` without git."""
    place = Path(__file__).resolve().parents[3]
    head = _git(place, "rev-parse", "HEAD")
    if head is None:
        return "unknown"
    return f"{head}+changes" if _git(place, "status", "--porcelain", "--", "src") else head


def _git(place: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(place), *words], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _number(value: float) -> float | None:
    number = float(value)
    if not math.isfinite(number):
        return None
    # Five significant digits say all that was measured and keep the file readable.
    return float(f"{number:.5g}")


def _ordered(name: str, figures: Mapping[str, float | None]) -> dict[str, float | None]:
    order = list(LABELS.get(name, {}))
    return dict(
        sorted(figures.items(), key=lambda item: (order.index(item[0]) if item[0] in order else len(order), item[0]))
    )


def _short(value: float) -> str:
    return f"{value:g}"


def _shown(value: float | None, row: Row) -> str:
    return "–" if value is None else f"{value:.{row.digits}f} {row.unit}".strip()


def _met(value: float | None, row: Row) -> str:
    if value is None or row.sign not in SIGNS:
        return ""
    return "yes" if SIGNS[row.sign](value, row.goal) else "no"


def _write_text(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(aside).chmod(0o644)
            Path(aside).replace(path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); check the folder and the disk"
        ) from error


def refresh_all() -> dict[str, bool]:
    """``refresh`` of every page, by its name."""
    return {page: refresh(root() / page) for page in PAGES}


def main() -> int:
    """Rewrite the pages' tables; returns the exit code."""
    for page, changed in refresh_all().items():
        print(f"{page}: {'rewritten' if changed else 'as it should be'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
