"""Makes ``skimage.npz``: what scikit-image 0.26.0's ``exposure.equalize_hist`` makes of small volumes.

Not run by the tests. With scikit-image installed:

    python tests/goldens/from_skimage.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from skimage import exposure

FILE = Path(__file__).with_name("skimage.npz")


def main() -> None:
    random = np.random.default_rng(17)
    shape = (5, 16, 18)
    image = np.where(random.random(shape) < 0.4, -1000, random.gamma(2, 150, shape) - 200)
    image = image.astype(np.float32)
    mask = image > -900
    found = {"image": image}
    for bins in (16, 256):
        found[f"image_{bins}"] = exposure.equalize_hist(image, bins)
        found[f"foreground_{bins}"] = exposure.equalize_hist(image, bins, mask)
    np.savez_compressed(FILE, **found)


if __name__ == "__main__":
    main()
