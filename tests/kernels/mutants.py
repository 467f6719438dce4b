"""Bugs for the kernels: what stands in a source, and what stands there instead."""

import re
from typing import NamedTuple


class Mutant(NamedTuple):
    """A text of a source (or of the preamble) and what stands there instead."""

    source: str
    right: str
    wrong: str


MUTANTS = {
    "no barrier after the tile is loaded": Mutant(
        "resample", "        __syncthreads();\n        if (b < b1", "        if (b < b1"
    ),
    "no barrier before the tile is loaded again": Mutant(
        "resample", "        __syncthreads();\n    }\n    // through", "    }\n    // through"
    ),
    "rows beyond the volume are written": Mutant(
        "resample",
        "r < count; r += WARPS)\n        for",
        "r < LANES; r += WARPS)\n        for",
    ),
    "outputs beyond the axis are written": Mutant(
        "resample", "if (o + t >= band.outputs) break;", ""
    ),
    "the second tile starts with the first weights": Mutant(
        "resample", "band.length + from - own)", "band.length)"
    ),
    "two outputs of a block exchanged": Mutant(
        "resample", "fmaf(w.y, v, sums[1])", "fmaf(w.z, v, sums[1])"
    ),
    "a tile longer than its rows": Mutant("resample", "#define TILE 160", "#define TILE 170"),
    "no barrier between rows and columns": Mutant(
        "plane", "__syncthreads();\n    // along the columns: a lane", "// along"
    ),
    "the last columns of a plane begin too late": Mutant(
        "plane", "min(begin, n - PLANE_GROUP) + lane", "begin + lane"
    ),
    "rows before the first": Mutant("plane", "lane, j = max(0, -first)", "lane, j = 0"),
    "a plane taken for its mirror image": Mutant(
        "plane", "backwards ? n - 1 - k - 32 * i", "false ? n - 1 - k - 32 * i"
    ),
    "rows of a plane beyond the axis": Mutant("plane", "if (y + i < rows.outputs)", ""),
    "a group of outputs misses its last inputs": Mutant(
        "plane",
        "<FROM, TO, UNROLL>(sums, j, min",
        "<FROM + (RUN == 2 * LAST - 1), TO, UNROLL>(sums, j, min",
    ),
    "slices beyond those of a volume between": Mutant(
        "resample", "if (slice >= lengths.slices) break;", ""
    ),
    "lines between slices are written": Mutant(
        "resample", "own < lengths.slices && column < lengths.columns", "own < lengths.slices"
    ),
    "lines of the first slice alone": Mutant(
        "resample", "slice >= (joined ? 1 : slices)", "slice >= 1"
    ),
    "clipping forgotten": Mutant("resample", "v = v > high ? high : v == high", "v = v == high"),
    "halves rounded up": Mutant("linear", "0xfffu + (size >> 13 & 1u)", "0x1000u"),
    "columns beyond the volume": Mutant(
        "linear", "if (x >= outputs.columns) return;\n    const Tap c", "const Tap c"
    ),
    "rows and slices exchanged": Mutant(
        "linear", "(v + behind, right, down", "(v + down, right, behind"
    ),
    "slices beyond the volume are written": Mutant("linear", "if (z >= outputs.slices) break;", ""),
    "slices of the next thread": Mutant("linear", "(int64)blockIdx.z * DEPTH", "(int64)blockIdx.z"),
    "a shift that does not shift": Mutant("linear", "SHIFT ? wide - step.zero", "SHIFT ? wide"),
    "weights of the far line on the near one": Mutant(
        "linear",
        "fmaf(row.high, lines[1], row.low * lines[0])",
        "fmaf(row.low, lines[1], row.high * lines[0])",
    ),
    "a label votes twice": Mutant("labels", "b != a && labels[b]", "labels[b]"),
    "ties go to the lowest label": Mutant(
        "labels", "return among ? nearest : lowest", "return lowest"
    ),
    "ties are exact": Mutant("labels", "most - TIE", "most"),
    "every lane adds for the warp": Mutant("statistics", "first_lane || !together", "true"),
    "a chunk runs beyond its row": Mutant(
        "statistics", "min((int64)CHUNK, n.columns - begin)", "CHUNK"
    ),
    "the mask is not asked": Mutant("statistics", "MASKED ? *mask : 1", "1"),
    "voxels beyond the row count": Mutant(
        "statistics", "threadIdx.x) < count", "threadIdx.x) <= count"
    ),
    "voxels beside the mask are in the extent": Mutant(
        "statistics", "high = max(high, flag ? (int32)value : high)", "high = max(high, value)"
    ),
    "negative keys are not turned over": Mutant(
        "statistics", "(uint32)((int32)bits >> 31) | 0x80000000u", "0x80000000u"
    ),
    "the last warp is not merged": Mutant(
        "statistics", "w < blockDim.x / 32; w++", "w + 1 < blockDim.x / 32; w++"
    ),
    "highs are not asked": Mutant("resample", "low[0], low[reach.count]", "low[0], low[0]"),
    "limits of the wrong slice": Mutant(
        "resample", "reach.along, lines[i].slice, o + t", "reach.along, lines[i].slice, o"
    ),
    "chunks one voxel too long": Mutant(
        "resample", "(i - chunk * p.edge) * voxel_stride", "(i - chunk) * voxel_stride"
    ),
    "chunks of a row behind one another": Mutant(
        "linear",
        "place_along(y, places, places.chunks.row, places.voxels.row)",
        "place_along(y, places, places.chunks.column, places.voxels.row)",
    ),
    "float64 rounded twice": Mutant(
        "linear", "half_bits(rounded_to_odd(v))", "half_bits((float)v)"
    ),
    "columns beyond the volume are counted": Mutant(
        "profiles", "x < lengths.columns && counts", "counts"
    ),
    "a vote that some columns do not reach": Mutant(
        "profiles",
        "    extern __shared__ uint32 shared_rows[];",
        "    if ((int64)blockIdx.x * blockDim.x + threadIdx.x >= lengths.columns) return;\n"
        "    extern __shared__ uint32 shared_rows[];",
    ),
    "extremes of the first lane alone": Mutant(
        "profiles", "low = min(low, __shfl_down_sync(ALL_LANES, low, distance))", ""
    ),
    "the threshold counts": Mutant(
        "pointwise", "(double)v > rule.threshold", "(double)v >= rule.threshold"
    ),
    "the other channel is forgotten": Mutant("pointwise", "join && mark", "mark && false"),
    "a constant in the border of chunks": Mutant(
        "pointwise", "= number; });", "= number; out[place_of(places, z, y, x) + 1] = number; });"
    ),
    "infinities count": Mutant("pointwise", "return is_finite(v) && (", "return v == v && ("),
    "infinities inside the mask": Mutant("pointwise", "is_finite(v) && mask", "mask"),
    "voxels outside the mask": Mutant("pointwise", "inside ? prepared", "true ? prepared"),
    "labels outside the mask are marked": Mutant("pointwise", "v == 0 && !mask[", "!mask["),
    "background in the mask is marked": Mutant(
        "pointwise", "v == 0 && !mask[offset_of(mask_strides, z, y, x)]", "v == 0"
    ),
    "a knot behind a bucket's begin is passed over": Mutant(
        "curve", "hop < curve.hops &&", "hop + 1 < curve.hops &&"
    ),
    "a bucket before the first": Mutant("curve", "bucket < 0 ? 0 : ", ""),
    "the last segments are not told apart": Mutant(
        "curve", "after - first > 1", "after - first > 2"
    ),
    "a knot belongs to the segment before": Mutant("curve", "v >= x[middle]", "v > x[middle + 1]"),
    "infinities meet a curve's ends": Mutant("curve", "is_finite(v) && (!mask", "v == v && (!mask"),
    "a curve forgets the mask": Mutant("curve", "mask[offset_of(mask_strides, z, y, x)]", "true"),
    "no barrier after a tile of medians is loaded": Mutant(
        "median", "__syncthreads();\n            if (y + row", "if (y + row"
    ),
    "no barrier before a tile of medians is loaded again": Mutant(
        "median", "__syncthreads();  // the tile before", "// the tile before"
    ),
    "medians of rows beyond the part": Mutant("median", "y + row >= outputs.rows || ", ""),
    "medians of columns beyond the part": Mutant("median", " || x + column >= outputs.columns", ""),
    "medians of a slice beyond the part": Mutant("median", "if (z + 1 < outputs.slices)", ""),
    "medians of the whole for those of a part": Mutant("median", "begin.rows + y", "y"),
    "an edge goes on with the voxel before it": Mutant("median", ": length - 1;", ": length - 2;"),
    "voxels before the first": Mutant("median", "return index < 0 ? 0 : ", "return "),
    "negative numbers in the order of their size": Mutant(
        "median", "order == FLOATING && negative ? ~bits : ", ""
    ),
    "numbers without a sign are taken for those with one": Mutant(
        "median", "order == UNSIGNED ? bits : ", ""
    ),
    "ranks of three slices off by one": Mutant(
        "median", "three + 12, second", "three + 11, second"
    ),
    "a bound of the median is left out": Mutant(
        "median", "i < SQUARE; i++) found", "i + 1 < SQUARE; i++) found"
    ),
    "the largest of two odd runs is lost": Mutant("median", "EVEN == ODD + 2", "EVEN == ODD + 3"),
    "finite voxels are restored, too": Mutant("pointwise", "if (!is_finite(v)) out", "out"),
    "columns beyond a volume of bins": Mutant(
        "clahe", "if (x >= lengths.columns) return;\n    for", "for"
    ),
    "what is no number is white": Mutant("clahe", "is_nan(v) ? 0.0", "is_nan(v) ? 1.0"),
    "levels cut off": Mutant("clahe", "(int)rint(share * 65535.0)", "(int)(share * 65535.0)"),
    "the mirror lies behind the last voxel": Mutant(
        "clahe", "2 * length - 2 - folded", "2 * length - 1 - folded"
    ),
    "a tile counts voxels of the next": Mutant("clahe", "if (i < voxels)", "if (true)"),
    "planes of a tile taken for its rows": Mutant("clahe", "row % tiles.rows", "row"),
    "tiles beyond the grid are forgotten": Mutant("clahe", "tile += gridDim.y", "tile += every"),
    "tiles of a slice behind one another": Mutant(
        "clahe", "j / tiles.across_rows * tiles.slices", "j / tiles.across_rows"
    ),
    "a full bin takes its part": Mutant("clahe", "filled[k] < most && behind", "behind"),
    "bins that are not there take a part": Mutant(
        "clahe",
        "min(own[32 * k + lane], (uint64)most) : most",
        "min(own[32 * k + lane], (uint64)most) : 0",
    ),
    "what is left is not spread": Mutant("clahe", "max(1, room / left)", "1"),
    "what is left is spread from the first bin": Mutant(
        "clahe", "32 * k + lane - first;", "32 * k + lane;"
    ),
    "what is left is given once": Mutant("clahe", "left > 0 && left < before;)", "left > before;)"),
    "sums of a curve begin anew": Mutant("clahe", "before += __shfl_sync(ALL_LANES, sum, 31);", ""),
    "a curve beyond its end": Mutant(
        "clahe", "(before + sum) * factor, 16383.0", "(before + sum) * factor, 16384.0"
    ),
    "curves are not cut to levels": Mutant("clahe", "(float)floor(min", "(float)(min"),
    "the first tile has none before it": Mutant("clahe", "max(place - 1, 0)", "max(place, 0)"),
    "the last tile has one behind it": Mutant("clahe", "min(place, tiles - 1)", "place"),
    "slices before and behind exchanged": Mutant(
        "clahe", "own[before * number] * (1.f - wz)", "own[before * number] * wz"
    ),
    "rows and columns of a patch exchanged": Mutant(
        "clahe", "* wx + (below - corner)", "* wx + (right - corner)"
    ),
    "a patch without its twist": Mutant("clahe", "(far - right - below + corner) * wx + ", ""),
    "results are not stretched": Mutant("clahe", "(voxels[i] - low) * scale", "voxels[i] * scale"),
    "results beyond the grid are not stretched": Mutant(
        "clahe", "i += (int64)gridDim.x * blockDim.x", "i += count"
    ),
    "negative infinity becomes positive": Mutant("pointwise", "v > (S)0 ? above : below", "above"),
    "a vote that not all lanes reach": Mutant(
        "statistics",
        "        tally(own, present && bin",
        "        if (present) tally(own, present && bin",
    ),
    "the last column is not copied": Mutant("scatter", "x < box.columns;", "x + 1 < box.columns;"),
    "columns beyond the box are written": Mutant("scatter", "x < box.columns;", "x < 32;"),
    "wide rows are copied in part": Mutant(
        "scatter", "x < box.columns; x += 32)", "x < box.columns && x < 32; x += 32)"
    ),
    "rows of the chunk taken for those of the box": Mutant(
        "scatter", "z * box.source_slice", "z * box.rows * box.source_row"
    ),
    "rows of the patch taken for those of the box": Mutant(
        "scatter", "z * slice + y * row", "z * box.rows * row + y * row"
    ),
    "missing chunks are padded": Mutant("scatter", "box.source == PADDING", "true"),
    "boxes beyond the grid are forgotten": Mutant("scatter", "k += gridDim.y", "k += count"),
    "rows beyond the grid are forgotten": Mutant(
        "scatter", "line += gridDim.x * warps", "line += box.slices * box.rows"
    ),
    "large unsigned integers pass for negative ones": Mutant("scatter", "beyond || read", "read"),
    "values that are cut pass": Mutant(
        "scatter", "beyond || read_integer(out", "beyond || 0 * read_integer(out"
    ),
    "signed bytes are read as unsigned": Mutant(
        "scatter", "((const int8 *)at)[k]", "((const uint8 *)at)[k]"
    ),
}


def narrowed(text: str) -> str:
    """The source for few types: quick to compile."""
    text = re.sub(r"(#define EACH_SOURCE\(MAKE\)) \\\n.*", r"\1 MAKE(int16) MAKE(float32)", text)
    text = re.sub(
        r"(#define EACH_PAIR\(MAKE\)) \\\n.*\\\n.*\\\n.*",
        r"\1 MAKE(int16, float32) MAKE(int16, float16) MAKE(float64, float16)",
        text,
    )
    text = re.sub(r"(#define EACH_LABEL\(MAKE\)) \\\n.*", r"\1 MAKE(uint8) MAKE(int16)", text)
    text = re.sub(r"^COPY\(.*", "COPY(uint16) COPY(uint32)", text, flags=re.M)
    text = re.sub(r"^HISTOGRAM\(.*", "HISTOGRAM(int16)", text, flags=re.M)
    text = re.sub(r"^MEDIANS_OF\(.*", "MEDIANS_OF(uint16, 8, 4)", text, flags=re.M)
    return re.sub(r"^DIGITS\(.*", "DIGITS(float32)", text, flags=re.M)
