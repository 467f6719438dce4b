"""Makes ``skimage_clahe.npz``: small volumes after scikit-image 0.26.0's ``exposure.equalize_adapthist``.

Not run by the tests. With scikit-image installed:

    python tests/goldens/from_skimage_clahe.py
"""

from pathlib import Path

import numpy as np
from skimage import exposure

FILE = Path(__file__).with_name("skimage_clahe.npz")
CASES = {
    "even": ((16, 20, 24), (4, 5, 6), 0.01, 256),
    "odd": ((13, 22, 17), (5, 7, 9), 0.03, 256),
    "few": ((12, 15, 18), (12, 30, 4), 0.2, 64),
    "free": ((9, 14, 12), (3, 7, 6), 0.0, 128),
}

if __name__ == "__main__":
    kept = {}
    for number, (name, (shape, tile, limit, bins)) in enumerate(CASES.items()):
        noise = np.random.default_rng(number).normal(size=shape)
        volume = np.rint(np.cumsum(noise, axis=2) * 100).astype(np.int16)
        share = (volume - float(volume.min())) / float(np.ptp(volume))
        found = exposure.equalize_adapthist(share, tile, limit, bins)
        kept[f"{name}_in"], kept[f"{name}_out"] = volume, found.astype(np.float32)
        kept[f"{name}_rule"] = np.array([*tile, limit, bins])
    np.savez_compressed(FILE, **kept)
