"""Figures of ``dub``."""

from __future__ import annotations

from kouxing.eval.rows.row import Row

ROWS = {
    "self_r_grid": Row("Own speech: mouth opening, correlation with the real mouth, studio (GRID), median", "≥", 0.65),
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
    "net_speedup_vs_wav2lip": Row("Our `fast` network (256×256) against one of Wav2Lip's shape (96×96)", "≥", 2, "×"),
    "mem_growth": Row("Peak memory, 10 minutes of video against 1", "≤", 1.15, "×"),
    "peak_mb": Row("Peak memory, 10 minutes of 720p video", "≤", 1500, "MB", 0),
}
