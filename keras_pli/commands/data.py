"""Reading `--data`: its headers first, then the arrays that a command needs and no others."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Headers = Mapping[str, tuple[tuple[int, ...], Any]]
GIB = 2**30


def load_data(path: str) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Returns `(x, y)` of the training and of the test set; without one, a fifth is held out."""
    headers = _checked_sets(path)
    if _has_test_set(headers):
        return _read_set(path, headers, "train"), _read_set(path, headers, "test")
    return _parted(path, headers)


def load_training_set(path: str) -> tuple[Any, Any]:
    """Returns `(x, y)` of the training set; without a test set, less the fifth that is held out."""
    headers = _checked_sets(path)
    if _has_test_set(headers):
        return _read_set(path, headers, "train")
    return _parted(path, headers)[0]


def load_test_inputs(path: str) -> Any:
    """Returns the inputs of the test set; without one, those of the fifth that is held out."""
    headers = _checked_sets(path)
    if _has_test_set(headers):
        return _read_set(path, headers, "test")[0]
    return _parted(path, headers)[1][0]


def load_samples(path: str, part: str = "test") -> tuple[Any, Any]:
    """Returns the inputs of a set, "test" or "train", or of a file with `x`, and their labels or None.

    Of Parquet files, one or a folder of them, it is the only column of arrays, and `label` or `y`.
    """
    if path.endswith(".parquet") or Path(path).is_dir():
        return _parquet_samples(path)
    headers = _headers(path)
    for x, y in ((f"x_{part}", f"y_{part}"), ("x", "y")):
        if x in headers:
            _check_inputs(path, headers, x)
            if y not in headers:
                return _read(path, headers, [x])[0], None
            _check_labels(path, headers, x, y)
            inputs, labels = _read(path, headers, [x, y])
            return inputs, labels.reshape(len(inputs))
    raise _lacking(path, {f"x_{part}"}, headers)


def _parquet_samples(path: str) -> tuple[Any, Any]:
    import numpy as np

    from ..arrow import holds_arrays
    from ..checks import quoted
    from ..parquet import column_fields, parquet_files, read_columns

    if not Path(path).exists():
        raise ValueError(f"There is no data file {path}.")
    files = parquet_files(path)
    fields, _ = column_fields(files[0])
    inputs = [name for name, field in fields.items() if holds_arrays(field)]
    labels = [name for name in ("label", "y") if name in fields and name not in inputs][:1]
    if len(inputs) != 1:
        raise ValueError(
            f"{path} must hold one column of arrays, the inputs, and perhaps `label`. It holds "
            f"{quoted(fields)}, of which {quoted(inputs) or 'none'} hold arrays."
        )
    parts = [read_columns(file, [*inputs, *labels]) for file in files]
    x, *y = (np.concatenate([part[name] for part in parts]) for name in (*inputs, *labels))
    return x, y[0] if y else None


def chosen_samples(arguments: argparse.Namespace, part: str = "test") -> tuple[Any, Any]:
    """Returns inputs and labels of a set of --data at --index, or the first --samples."""
    x, labels = load_samples(arguments.data, part)
    chosen = positions_in(arguments, len(x))
    return x[chosen], None if labels is None else labels[chosen]


def positions_in(arguments: argparse.Namespace, samples: int) -> Any:
    """Returns which of so many samples --index names, or the first --samples."""
    import numpy as np

    if not arguments.index:
        return np.arange(min(arguments.samples or samples, samples))
    chosen = np.array(_positions(arguments.index))
    if np.any((chosen < 0) | (chosen >= samples)):
        raise ValueError(f"--index must lie from 0 to {samples - 1}. Received: {arguments.index}.")
    return chosen


def _positions(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--index must be positions with commas between, such as 3,17,20. Received: {text!r}."
        ) from None


def _headers(path: str) -> Headers:
    from ..files import array_headers

    if not Path(path).is_file():
        raise ValueError(f"There is no data file {path}.")
    _check_kind(path)
    try:
        return array_headers(path)
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise ValueError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error


def _check_kind(path: str) -> None:
    """Raises a `ValueError` that says how to make an `.npz` of a file that is none."""
    with Path(path).open("rb") as file:
        begin = file.read(6)
    if begin.startswith(b"PK"):  # a zip archive
        return
    if begin == b"\x93NUMPY":
        raise ValueError(
            f"{path} is an .npy file of one array without a name. --data takes an .npz, which NumPy writes: "
            "np.savez('data.npz', x=np.load('" + path + "'))."
        )
    raise ValueError(
        f"{path} is not an .npz of arrays. NumPy writes one: np.savez('data.npz', x_train=..., y_train=..., "
        "x_test=..., y_test=...), with inputs as the classifier takes them and labels as integers."
    )


def _checked_sets(path: str) -> Headers:
    """Returns the headers of a file with a training set, and perhaps a test set, that can be trained on."""
    headers = _headers(path)
    missing = {"x_train", "y_train"} - set(headers)
    if missing:
        raise _lacking(path, missing, headers)
    for part in ("train", "test") if _has_test_set(headers) else ("train",):
        _check_inputs(path, headers, f"x_{part}")
        _check_labels(path, headers, f"x_{part}", f"y_{part}")
        kind = headers[f"y_{part}"][1].kind
        if kind not in "iu":
            advice = f" Store y_{part}.astype('int64')." if kind in "bf" else ""
            raise ValueError(
                f"y_{part} of {path} must hold classes as integers. Received dtype "
                f"{headers[f'y_{part}'][1]}.{advice}"
            )
    return headers


def _has_test_set(headers: Headers) -> bool:
    return "x_test" in headers and "y_test" in headers


def _check_inputs(path: str, headers: Headers, name: str) -> None:
    shape, dtype = headers[name]
    if not shape or not shape[0]:
        raise ValueError(f"{name} of {path} must hold samples. Received shape {shape}.")
    if dtype.kind not in "fiub":
        raise ValueError(f"{name} of {path} must hold real numbers. Received dtype {dtype}.")


def _check_labels(path: str, headers: Headers, x: str, y: str) -> None:
    samples, shape = headers[x][0][0], headers[y][0]
    if shape in ((samples,), (samples, 1)):
        return
    hint = ""
    if len(shape) == 2 and shape[0] == samples:
        hint = f" One-hot labels? Store {y}.argmax(axis=1)."
    raise ValueError(
        f"{y} of {path} must have one label for each of the {samples} samples of {x}. "
        f"Received shape {shape}.{hint}"
    )


def _parted(path: str, headers: Headers) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The training set, less a fifth of what has a label, and that fifth; the same each time."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    from ..intervention.data_changes import lacks_label

    x, y = _read_set(path, headers, "train")
    print(f"{path} has no test set; a fifth of the training set is held out.", file=sys.stderr)
    missing = lacks_label(y)
    known = np.flatnonzero(~missing)
    kept, held_out = train_test_split(known, test_size=0.2, stratify=y[known], random_state=0)
    kept = np.append(kept, np.flatnonzero(missing))
    return (x[kept], y[kept]), (x[held_out], y[held_out])


def _read_set(path: str, headers: Headers, part: str) -> tuple[Any, Any]:
    x, y = _read(path, headers, [f"x_{part}", f"y_{part}"])
    return x, y.reshape(len(x))


def _read(path: str, headers: Headers, names: Iterable[str]) -> list[Any]:
    import numpy as np

    names = list(names)
    _check_memory(path, headers, names)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return [stored[name] for name in names]
    except Exception as error:
        raise ValueError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error


def _check_memory(path: str, headers: Headers, names: Iterable[str]) -> None:
    needed = sum(math.prod(headers[name][0]) * headers[name][1].itemsize for name in names)
    free = available_bytes()
    if free is not None and needed > free:
        raise ValueError(
            f"{', '.join(names)} of {path} take {needed / GIB:.1f} GiB of memory once unpacked, and "
            f"{free / GIB:.1f} GiB are available here. Store fewer samples, or numbers of a smaller type."
        )


def available_bytes() -> int | None:
    """Returns how much memory can be had without swapping, as the system tells; None where it does not.

    Without that figure, as on macOS, it is all memory that is built in.
    """
    found = [figure for figure in (_free_memory(), _container_limit()) if figure is not None]
    return min(found, default=None)


def _free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(
            int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")
        )
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _container_limit() -> int | None:
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(limit) if limit.isdigit() else None


def _lacking(path: str, missing: set[str], headers: Headers) -> ValueError:
    held = ", ".join(sorted(headers)) or "nothing"
    return ValueError(f"{path} lacks {', '.join(sorted(missing))}. It holds {held}.")
