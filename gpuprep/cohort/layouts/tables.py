"""Small delimited tables beside images: read whole, as text, with the line each row begins on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from gpuprep.io.placeholders import LARGEST_POINTER, pointer, unfetched_link
from gpuprep.values.errors import UsageError

MOST_TABLE_BYTES = 1 << 30


def read_text(path: Path) -> str:
    """The text of a table or JSON file (UTF-8, with or without a byte-order mark).

    Raises:
        UsageError: the file cannot be read, is not UTF-8, or is larger than 1 GiB.
    """
    try:
        size = path.stat().st_size
        if size > MOST_TABLE_BYTES:
            raise UsageError(f"{path} has {size} bytes; at most {MOST_TABLE_BYTES} are read")
        if size <= LARGEST_POINTER and (unfetched := pointer(path, path.read_bytes())):
            raise UsageError(f"{path}: {unfetched.message}", advice=unfetched.advice)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        if unfetched := unfetched_link(path):
            raise UsageError(f"{path}: {unfetched.message}", advice=unfetched.advice) from error
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is not blank, the header first.

    The delimiter is a tab in ``.tsv``; else a comma, or a semicolon where the header has no comma.

    Raises:
        UsageError: the file cannot be read, or its quoting is broken.
    """
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = ";" if ";" in header and "," not in header else ","
    delimiter = "\t" if path.suffix.lower() == ".tsv" else delimiter
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield line, [cell.strip() for cell in row]
            line = rows.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{path}, line {line}: {error}") from error


def attributes_by(path: Path, column: str) -> dict[str, dict[str, str]]:
    """The rows of a table by the value in one column; empty and ``n/a`` cells are left out.

    A table without the column has no rows for anyone.
    """
    rows = read_rows(path)
    _, header = next(rows, (0, []))
    if column not in header:
        return {}
    key = header.index(column)
    return {
        row[key]: {
            name: cell
            for name, cell in zip(header, row, strict=False)
            if name and name != column and cell not in ("", "n/a")
        }
        for _, row in rows
        if len(row) > key
    }
