import numpy as np
import pytest

from kouxing.infer import light
from kouxing.types import Bytes


def crop(seed: int = 0) -> Bytes:
    """Something with edges and plain places, ``[256, 256, 3]``."""
    small = np.random.default_rng(seed).integers(60, 200, (16, 16, 3), dtype=np.uint8)
    return np.kron(small, np.ones((16, 16, 1), np.uint8))


def test_the_same_light_changes_no_pixel() -> None:
    shown = crop()
    turned = light.lit(shown, np.float32([1.07, 1.06, 1.05]))
    by = light.gain(light.cells(turned), light.cells(shown))
    assert (by == 1).all()
    assert light.lit(shown, by) is shown


@pytest.mark.parametrize("by", [(0.5, 0.5, 0.5), (0.05, 0.05, 0.05), (0.55, 0.65, 0.85), (1.25, 1.2, 1.25)])
def test_another_light_is_found_and_taken_over(by: tuple[float, ...]) -> None:
    shown = crop()
    dark = light.lit(shown, np.float32(by))
    found = light.gain(light.cells(dark), light.cells(shown))
    np.testing.assert_allclose(found, by, rtol=0.05)
    assert np.abs(light.lit(shown, found).astype(int) - dark).mean() < 1.5


def test_what_covers_part_of_the_face_is_no_other_light() -> None:
    shown = crop()
    covered = shown.copy()
    covered[48:128, 64:112] = 255
    assert (light.gain(light.cells(covered), light.cells(shown)) == 1).all()


def test_a_black_picture_stays_black_and_is_no_fault() -> None:
    black = np.zeros((256, 256, 3), np.uint8)
    by = light.gain(light.cells(black), light.cells(crop()))
    assert np.isfinite(by).all() and light.lit(crop(), by).max() <= 6


def test_pictures_of_two_lights_come_into_one() -> None:
    shown = crop()
    crops = light.alike(np.stack([shown, light.lit(shown, np.float32([0.55, 0.65, 0.85])), shown]))
    assert (crops[0] == shown).all() and (crops[2] == shown).all()
    assert np.abs(crops[1].astype(int) - shown).mean() < 2
