"""Arrays by name as Parquet files, whose rows are samples, and streams of such files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrow import from_arrow, to_arrow
from .checks import quoted
from .files import atomic_path
from .optional import imported

Array = NDArray[Any]
# Where a file keeps what has no row for each sample.
_NOTE = b"keras_pli"
_READ = 2**20  # bytes that are read from a file at a time
_HELD = 8 * 2**20  # bytes of rows that are read at a time


def write_columns(path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike]) -> Path:
    """Writes arrays as the columns of a Parquet file, atomically, and returns the path.

    Args:
        path: Where.
        arrays: Arrays by name, with as many rows each; a text alone is kept in the file's own note.

    Raises:
        ValueError: If arrays differ in their number of rows.
        ImportError: If pyarrow cannot be imported.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = write_columns(f"{folder}/maps.parquet", {"id": [7, 8], "x": np.ones((2, 3, 3))})
        ...     {name: array.shape for name, array in read_columns(path).items()}
        {'id': (2,), 'x': (2, 3, 3)}
    """
    arrow, parquet = imported("pyarrow", "Parquet", extra="parquet"), _parquet()
    given = {name: np.asarray(array) for name, array in arrays.items()}
    columns = {name: array for name, array in given.items() if array.ndim}
    lengths = {name: len(array) for name, array in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Columns must have as many rows each. Received rows: {lengths}.")
    noted = {name: str(array) for name, array in given.items() if not array.ndim}
    table = arrow.table({name: to_arrow(array) for name, array in columns.items()})
    if noted:
        table = table.replace_schema_metadata({_NOTE: json.dumps(noted)})
    with atomic_path(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)
    return Path(path)


def read_columns(
    path: str | os.PathLike[str], names: Iterable[str] | None = None
) -> dict[str, Array]:
    """Returns the columns of a Parquet file as arrays by name, and the texts that were noted.

    Args:
        path: Where it is.
        names: Those to read, as far as they are there; None for all.

    Raises:
        ValueError: If the file is damaged, or a column cannot be made an array.
        FileNotFoundError: If there is none.
        ImportError: If pyarrow cannot be imported.
    """
    with _opened(path) as file:
        schema = file.schema_arrow
        noted = json.loads((schema.metadata or {}).get(_NOTE, b"{}"))
        wanted = [name for name in schema.names if names is None or name in names]
        batches = file.iter_batches(columns=wanted)
        parts = [_arrays(batch, schema) for batch in batches] or [_no_rows(schema, wanted)]
    found = {name: np.concatenate([part[name] for part in parts]) for name in wanted}
    texts = {name: np.array(text) for name, text in noted.items() if names is None or name in names}
    return found | texts


def read_batches(path: str | os.PathLike[str], names: Iterable[str]) -> Iterator[dict[str, Array]]:
    """Yields columns of a Parquet file, a few megabytes of rows at a time; no file is held as a whole.

    Raises:
        ValueError: If the file is damaged, or a column cannot be made an array.
        FileNotFoundError: If there is none.
    """
    with _opened(path) as file:
        about, schema = file.metadata, file.schema_arrow
        stored = sum(
            about.row_group(group).total_byte_size for group in range(about.num_row_groups)
        )
        rows = int(np.clip(_HELD * about.num_rows // max(stored, 1), 1, 4096))
        for batch in file.iter_batches(batch_size=rows, columns=list(names)):
            yield _arrays(batch, schema)


def column_fields(path: str | os.PathLike[str]) -> tuple[dict[str, Any], int]:
    """Returns the fields of a Parquet file's columns by name, and its number of rows; no row is read.

    Raises:
        ValueError: If the file is damaged, or two columns have one name.
        FileNotFoundError: If there is none.
    """
    with _opened(path) as file:
        names = file.schema_arrow.names
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise ValueError(
                f"Columns must differ in their names. Received twice: {quoted(twice)}."
            )
        return {field.name: field for field in file.schema_arrow}, file.metadata.num_rows


def parquet_files(path: str | os.PathLike[str]) -> list[Path]:
    """Returns a Parquet file, or those of a folder and its folders by name, without hidden ones.

    Raises:
        ValueError: If there is none.
    """
    place = Path(path)
    if place.is_file():
        return [place]
    found = sorted(
        file
        for file in place.rglob("*.parquet")
        if file.is_file()
        and not any(part.startswith(("_", ".")) for part in file.relative_to(place).parts)
    )
    if not found:
        raise ValueError(f"There is no Parquet file in {os.fspath(path)}.")
    return found


def _arrays(batch: Any, schema: Any) -> dict[str, Array]:
    return {
        name: from_arrow(column, schema.field(name))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }


def _no_rows(schema: Any, names: Iterable[str]) -> dict[str, Array]:
    """Columns of a file without rows, of which Arrow gives no batch."""
    empty = schema.empty_table()
    return {
        name: from_arrow(empty.column(name).combine_chunks(), schema.field(name)) for name in names
    }


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """An open file, whose damage is a `ValueError` that says where."""
    arrow = imported("pyarrow", "Parquet", extra="parquet")
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no Parquet file {os.fspath(path)}.")
    try:
        # Bit by bit, as whole columns of a group of rows may be large; with the checksums of pages.
        with _parquet().ParquetFile(
            path, pre_buffer=False, buffer_size=_READ, page_checksum_verification=True
        ) as file:
            yield file
    except (arrow.ArrowException, OSError) as error:
        if getattr(error, "errno", None):
            raise  # trouble with the disk is no damage
        told = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"{os.fspath(path)} is damaged: {told}.") from error
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def _parquet() -> Any:
    return imported("pyarrow.parquet", "Parquet", extra="parquet")
