"""What several commands share: the common arguments, and reading and writing of files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..attribution import Method

Report = Callable[[str], None]


def add_model_and_data(parser: argparse.ArgumentParser) -> None:
    """Adds --model, --data and --layer."""
    parser.add_argument("--model", required=True, help="the classifier, a .keras file")
    parser.add_argument("--data", required=True, help=".npz with x_train, y_train, x_test, y_test")
    parser.add_argument(
        "--layer",
        default="logits",
        help="name or path of the layer, such as backbone/conv3 (default: %(default)s, before any softmax)",
    )


def add_samples(parser: argparse.ArgumentParser, default: int) -> None:
    """Adds --samples and --index, by which `chosen_samples` chooses."""
    parser.add_argument(
        "--samples",
        type=int,
        default=default,
        help="the first so many; 0 for all (default: %(default)s)",
    )
    parser.add_argument("--index", help="positions of the samples instead, such as 3,17,20")


def add_out(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Adds --out, required where there is no default."""
    parser.add_argument(
        "--out", default=default, required=default is None, help="folder of results"
    )


def written(out: Path, *names: str) -> str:
    """Says which files were written."""
    return "Wrote " + ", ".join(str(out / name) for name in names) + "."


def load_model(path: str) -> Any:
    """Returns the model stored in a `.keras` file."""
    import keras

    if not Path(path).is_file():
        raise ValueError(f"There is no model file {path}.")
    try:
        return keras.saving.load_model(path)
    except Exception as error:  # Keras raises half a dozen kinds for damaged or foreign files
        raise ValueError(f"{path} cannot be loaded as a Keras model: {error}") from error


def kinds_named(methods: str) -> dict[str, type[Method]]:
    """Returns the attribution methods that a text names, with commas between, by their own names."""
    from ..attribution import find_method, method_name

    kinds = [find_method(given.strip()) for given in methods.split(",")]
    return {method_name(kind): kind for kind in kinds}


def load_data(path: str) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Returns `(x, y)` of the training and of the test set; without one, a fifth is held out."""
    from sklearn.model_selection import train_test_split

    arrays = _load_arrays(path)
    missing = {"x_train", "y_train"} - set(arrays)
    if missing:
        raise _lacking(path, missing, arrays)
    x, y = arrays["x_train"], arrays["y_train"]
    if "x_test" in arrays and "y_test" in arrays:
        return (x, y), (arrays["x_test"], arrays["y_test"])
    print(f"{path} has no test set; a fifth of the training set is held out.", file=sys.stderr)
    x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    return (x, y), (x_test, y_test)


def load_samples(path: str) -> tuple[Any, Any]:
    """Returns the inputs of a test set, or of a file with `x` alone, and their labels or None."""
    arrays = _load_arrays(path)
    for x, y in (("x_test", "y_test"), ("x", "y")):
        if x in arrays:
            return arrays[x], arrays.get(y)
    raise _lacking(path, {"x_test"}, arrays)


def chosen_samples(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Returns inputs and labels of --data at --index, or the first --samples."""
    import numpy as np

    x, labels = load_samples(arguments.data)
    if arguments.index:
        chosen = np.array([int(text) for text in arguments.index.split(",")])
        if np.any((chosen < 0) | (chosen >= len(x))):
            raise ValueError(
                f"--index must lie from 0 to {len(x) - 1}. Received: {arguments.index}."
            )
    else:
        chosen = np.arange(min(arguments.samples or len(x), len(x)))
    return x[chosen], None if labels is None else labels[chosen]


def _load_arrays(path: str) -> dict[str, Any]:
    import numpy as np

    if not Path(path).is_file():
        raise ValueError(f"There is no data file {path}.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:  # zipfile, pickle and numpy each have their own
        raise ValueError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error


def _lacking(path: str, missing: set[str], arrays: dict[str, Any]) -> ValueError:
    held = ", ".join(sorted(arrays)) or "nothing"
    return ValueError(f"{path} lacks {', '.join(sorted(missing))}. It holds {held}.")


def loss_for(classifier: Any) -> Any:
    """Returns the cross-entropy that suits a classifier's outputs and integer labels."""
    import keras

    from ..network.activations import ends_squashed

    return keras.losses.SparseCategoricalCrossentropy(from_logits=not ends_squashed(classifier))
