"""A photo's own colours (an ICC profile, such as phones' Display P3) as everybody else's."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np

from kouxing.types import Bytes

# Pillow is loaded where there is a photo: videos start without it.


def profile_of(path: Path) -> bytes | None:
    """The profile of a photo whose pixels are not sRGB; None where there is none, or none that can be read."""
    from PIL import Image, ImageCms

    try:
        with warnings.catch_warnings():
            # Large pictures are made smaller as they are decoded, which is not done here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as photo:
                told = photo.info.get("icc_profile")
        if not isinstance(told, bytes):
            return None
        own = ImageCms.ImageCmsProfile(BytesIO(told))
        name = ImageCms.getProfileDescription(own)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, ImageCms.PyCMSError):
        return None
    return None if "srgb" in name.lower() or own.profile.xcolor_space.strip() != "RGB" else told


def to_srgb(rgb: Bytes, profile: bytes) -> Bytes:
    """Pixels ``[h, w, 3]`` of a ``profile`` in sRGB; as they are where that cannot be done."""
    from PIL import Image, ImageCms

    own = ImageCms.ImageCmsProfile(BytesIO(profile))
    try:
        made = ImageCms.profileToProfile(Image.fromarray(rgb), own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, ValueError):
        return rgb
    return rgb if made is None else np.asarray(made, np.uint8)
