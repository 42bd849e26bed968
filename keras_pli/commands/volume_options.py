"""What the options of the commands on volumes stand for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def brains_in(volumes: Any) -> Any:
    """Where the brains are in stripped volumes, in which all the rest is exactly 0.

    Voxels of the brain are 0, too, where intensities are clipped: gaps and holes are filled. Clipped voxels
    at the brain's surface cannot be told from what is outside.
    """
    import numpy as np
    import tensorflow as tf
    from scipy.ndimage import binary_closing, binary_fill_holes

    def filled(region: Any) -> Any:
        ball = np.ones((3, 3, 3), dtype=bool)
        # The margin keeps the erosion from the edges of the volume.
        closed = [binary_closing(np.pad(one, 1), ball)[1:-1, 1:-1, 1:-1] for one in region]
        return np.stack([binary_fill_holes(one) for one in closed])

    region = volumes[..., 0] != 0
    found = tf.numpy_function(filled, [region], tf.bool)
    return tf.ensure_shape(found, region.shape)


def region_names(path: str | None) -> dict[int, str] | None:
    """Returns names by label, read from a CSV table with columns label and name.

    Raises:
        ValueError: If the table is missing or cannot be read, or labels are not different whole numbers.
    """
    import pandas as pd

    if path is None:
        return None
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        raise ValueError(f"--region-names: there is no such table: {path}.") from None
    except (ValueError, OSError) as error:  # pandas's own are ValueErrors
        raise ValueError(f"--region-names: {path} cannot be read: {error}") from error
    if not {"label", "name"} <= set(table.columns):
        raise ValueError(
            f"{path} must have columns label and name. It has: {', '.join(map(str, table.columns))}."
        )
    labels, names = table["label"].str.strip(), table["name"].str.strip()
    given = (labels != "") | (names != "")  # spreadsheets leave rows of nothing but commas
    labels, names = labels[given], names[given]
    wrong = labels[~labels.str.fullmatch(r"[+-]?\d+")]
    if len(wrong):
        raise ValueError(
            f"{path}: labels must be whole numbers. Received: {', '.join(map(repr, wrong[:5]))}."
        )
    codes = labels.astype(int)
    if codes.duplicated().any():
        raise ValueError(
            f"{path}: each label must stand once. Several times: {codes[codes.duplicated()].iloc[0]}."
        )
    return {int(code): name for code, name in zip(codes, names, strict=True) if name}


def filters_of(text: str) -> tuple[int, ...]:
    """Returns whole numbers with commas between."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--filters must be whole numbers with commas between. Received: {text!r}."
        ) from None


def maps_folder(out: Path, name: str) -> Path:
    """Returns the folder of maps of a name.

    Raises:
        ValueError: If the name is not that of a folder right below, or is taken by something else.
    """
    taken = ("training", "preprocessed", "subjects", "mean_maps")
    if Path(name).name != name or "\\" in name or name in ("", "..", *taken):
        raise ValueError(
            "--maps must be the name of a folder below --out, without separators, and none of "
            f"{', '.join(taken)}. Received: {name!r}."
        )
    return out / name


def check_step(folder: Path, step: str, what: str, out: Path) -> None:
    """Raises a `ValueError` if a step that others rest on has not been run to its end."""
    if not (folder / "result.json").is_file():
        raise ValueError(
            f"{folder} holds no {what}: run `keras-pli volume {step} --out {out} …` first."
        )


def lengths(one: Any) -> Any:
    """Returns what reads one number or three of an argument."""

    def read(text: str) -> tuple[Any, ...]:
        found = tuple(one(part) for part in text.split(","))
        if len(found) not in (1, 3):
            raise argparse.ArgumentTypeError(f"must be one number or three. Received: {text!r}.")
        return found

    return read


def three(lengths: tuple[Any, ...] | None) -> Any:
    """Returns three lengths, of one three times the same."""
    return lengths * 3 if lengths is not None and len(lengths) == 1 else lengths
