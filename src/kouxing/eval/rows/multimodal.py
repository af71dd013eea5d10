"""Figures of ``multimodal``."""

from __future__ import annotations

from kouxing.eval.rows.row import Row

ROWS = {
    "gain_r_0db": Row("Sound at 0 dB: correlation gained by the text, laid onto the noisy sound", "≥", 0.10),
    "gain_f1_0db": Row("the same, closure F1", "≥", 0.10),
    "gain_r_0db_mean": Row("the same, correlation, mean over the clips of each one's own gain", "", 0),
    "gain_r_0db_timed": Row("the same, correlation, words' times known", "≥", 0.10),
    "gain_f1_0db_timed": Row("the same, closure F1, words' times known", "≥", 0.10),
    "gain_r_0db_mouth": Row("Sound at 0 dB: correlation gained by mouth pictures", "≥", 0.10),
    "gain_r_0db_expression": Row("Text and sound at 0 dB above `expression`", "", 0),
    "r_sound_0_db": Row("Sound at 0 dB alone, correlation", "", 0),
    "r_text_sound_0_db": Row("the same with the text", "", 0),
    "gain_r_minus_5db": Row("Sound at -5 dB: correlation gained by the text", "", 0),
    "r_sound_clean": Row("Clean sound alone, correlation", "", 0),
    "r_text_sound_clean": Row("the same with the text", "", 0),
    "muted_share_text": Row("Inside a muted second: text and sound, share of clean sound's correlation", "≥", 0.8),
    "muted_share_timed": Row("the same, words' times known", "≥", 0.8),
    "muted_share_mouth": Row("the same, mouth pictures and sound", "≥", 0.8),
    "muted_share": Row("the lower of both", "≥", 0.8),
    "muted_share_sound": Row("Baseline: sound alone", "≈", 0),
    "clean_loss": Row("Clean sound: correlation lost by adding text", "≤", 0.01, "", 3),
    "silence_sound": Row("Lips closed in silent frames, clean sound alone", "", 0),
    "silence_text_sound": Row("the same with the text", "", 0),
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
}
