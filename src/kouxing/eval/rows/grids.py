"""Figures in tables of rows and columns."""

from __future__ import annotations

import re

from kouxing.eval.rows.row import Row

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
