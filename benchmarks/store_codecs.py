"""What each codec makes of real scans: bytes, and how fast a chunk is encoded and decoded.

    python benchmarks/store_codecs.py --scans FOLDER [--chunks 40] [--rounds 3]

The scans of ``scans.py`` as int16 (HU, or steps of the source), as float16 (all bits, and rounded) and
float32 normal scores, and a label map with smooth outlines. Chunks are taken evenly from the volume.
Times are CPU time of one thread, the least of the rounds; a chunk is decoded into memory that is there
already. What follows from the numbers is in ``gpuprep.store.codecs``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import blosc

from gpuprep.ops.bits import rounded_bits
from gpuprep.store.codecs import BLOCK_BYTES, Encode
from gpuprep.store.planes import encode_planes
from scans import scans
from timing import machine, versions

RESULT = Path(__file__).parent / "results" / "store_codecs.json"
EDGES = (16, 32, 48, 64)
CODECS = (("zstd", 1), ("zstd", 3), ("lz4", 5), ("lz4hc", 1), ("lz4hc", 5), ("blosclz", 5))
SHUFFLES = {"none": blosc.NOSHUFFLE, "byte": blosc.SHUFFLE, "bit": blosc.BITSHUFFLE}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument(
        "--chunks", type=int, default=40, help="of 32³ voxels; of others as many voxels"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    blosc.use_threads = False
    rows = []
    for name, voxels in volumes(arguments.scans):
        for edge in EDGES:
            pieces = chunks(voxels, edge, max(1, arguments.chunks * 32**3 // edge**3))
            for row in measured(pieces, arguments.rounds):
                rows.append({"volume": name, "dtype": voxels.dtype.name, "chunk": edge, **row})
                print(line(rows[-1]), flush=True)
    record = {"machine": machine(), "versions": versions("numpy", "numcodecs"), "rows": rows}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"\nwrote {arguments.out}")


def volumes(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every scan in every dtype it may be stored in."""
    for scan in scans(folder):
        yield scan.name, np.rint(scan.voxels).astype(np.int16)
        yield scan.name, scan.scores.astype(np.float16)
        for keep in (8, 7, 6, 5):  # what ``store.keep_bits`` makes of it
            yield f"{scan.name} {keep} bits", rounded_bits(scan.scores.astype(np.float16), keep)
        yield scan.name, scan.scores
        yield f"{scan.name} label", blob(scan.voxels)


def blob(voxels: np.ndarray) -> np.ndarray:
    """A label map with the smooth outlines of an annotated one: where the mean of 8³ voxels is high."""
    z, y, x = (n // 8 for n in voxels.shape)
    coarse = voxels[: z * 8, : y * 8, : x * 8].reshape(z, 8, y, 8, x, 8).mean((1, 3, 5))
    fine = coarse.repeat(8, 0).repeat(8, 1).repeat(8, 2)
    for axis in range(3):
        fine = np.mean([np.roll(fine, shift, axis) for shift in range(-4, 4)], axis=0)
    return (fine > fine.mean()).astype(np.uint8)


def chunks(voxels: np.ndarray, edge: int, count: int) -> list[np.ndarray]:
    """At most so many whole chunks, evenly from the volume; those of zeros only are never stored."""
    corners = list(itertools.product(*(range(0, n - edge + 1, edge) for n in voxels.shape)))
    boxes = [tuple(slice(k, k + edge) for k in corner) for corner in corners]
    stored = [box for box in boxes if voxels[box].any()]
    return [np.ascontiguousarray(voxels[box]) for box in stored[:: -(-len(stored) // count)]]


def measured(pieces: list[np.ndarray], rounds: int) -> Iterator[dict[str, Any]]:
    """One row for each codec and shuffle."""
    raw, place = sum(piece.nbytes for piece in pieces), np.empty_like(pieces[0])
    for codec, shuffle, encode_piece in encoders(pieces[0].itemsize):
        encoded = [encode_piece(piece) for piece in pieces]
        encode = fastest(lambda work=encode_piece: [work(piece) for piece in pieces], rounds)
        decode = fastest(
            lambda encoded=encoded: [blosc.decompress(each, place) for each in encoded], rounds
        )
        yield {
            "codec": codec,
            "shuffle": shuffle,
            "ratio": raw / sum(map(len, encoded)),
            "encode_mb_per_s": raw / encode / 1e6,
            "decode_mb_per_s": raw / decode / 1e6,
        }


def encoders(itemsize: int) -> Iterator[tuple[str, str, Encode]]:
    """Every codec and shuffle of Blosc, and the byte planes of ``balanced`` and ``tight``."""
    for (cname, level), (word, shuffle) in itertools.product(CODECS, SHUFFLES.items()):
        yield f"{cname} {level}", word, blosc.Blosc(cname, level, shuffle, BLOCK_BYTES).encode
    if itemsize > 1:
        yield "planes", "byte", encode_planes
        tight = b"lz4hc", 9
        yield "tight", "byte", partial(encode_planes, highest=tight, others=tight)


def fastest(work: Callable[[], Any], rounds: int) -> float:
    """CPU seconds of the best round."""
    took = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)


def line(row: dict[str, Any]) -> str:
    return (
        f"{row['volume']:9} {row['dtype']:8} {row['chunk']}³ {row['codec']:9} {row['shuffle']:4} "
        f"ratio {row['ratio']:6.2f}  encode {row['encode_mb_per_s']:6.0f} MB/s  "
        f"decode {row['decode_mb_per_s']:6.0f} MB/s"
    )


if __name__ == "__main__":
    main()
