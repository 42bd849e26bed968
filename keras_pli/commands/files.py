"""What several commands share: the common arguments, the folder of results, and models."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .. import InterventionPlan
    from ..attribution import Method

Report = Callable[[str], None]


def whole(least: int) -> Callable[[str], int]:
    """Returns what makes a whole number, from `least` on, of an argument."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {least}. Received: {text!r}."
            )
        return number

    return read


def positive(text: str) -> float:
    """Makes a positive number of an argument."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number. Received: {text!r}.")
    return number


def weight_or_auto(text: str) -> float | str:
    """Makes λ of an argument, a number or auto."""
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or auto. Received: {text!r}.") from None


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
        type=whole(0),
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


def check_folder(path: str) -> None:
    """Raises a `ValueError` if results cannot be written to a folder; it makes none."""
    folder = Path(path)
    there = next((place for place in (folder, *folder.parents) if place.exists()), Path())
    if not there.is_dir():
        raise ValueError(f"--out must be a folder. {there} is a file.")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(
            f"--out {path} cannot be written to: {there}: {error.strerror or error}."
        ) from error


def load_model(path: str) -> Any:
    """Returns the model stored in a file, without its training configuration where Keras cannot read that."""
    import keras

    from .. import embedding  # noqa: F401 - registers what a stored map is made of

    if not Path(path).is_file():
        raise ValueError(f"There is no model file {path}.")
    try:
        return keras.saving.load_model(path)
    except Exception as error:  # Keras raises half a dozen kinds for damaged or foreign files
        try:
            model = keras.saving.load_model(path, compile=False)
        except Exception:
            raise ValueError(
                f"{path} cannot be loaded as a Keras model: {_brief(error)}"
            ) from error
        print(
            f"{path} is taken without its optimizer and loss, which Keras cannot read: {_brief(error)}",
            file=sys.stderr,
        )
        return model


def load_classifier(path: str) -> Any:
    """Returns the classifier stored in a file; a map that `embed` wrote is refused."""
    from ..embedding import ParametricEmbedding

    model = load_model(path)
    if isinstance(model, ParametricEmbedding):
        raise ValueError(
            f"{path} holds a map ({type(model).__name__}), whose outputs are positions and no classes. "
            "--model takes the classifier that it maps."
        )
    return model


def load_embedder(out: Path) -> Any:
    """Returns the map that `embed` left in a folder."""
    path = out / "embedder.keras"
    if not path.exists():
        raise ValueError(f"There is no {path}; run `keras-pli embed` with the same --out first.")
    return load_model(str(path))


def load_plan(path: Path) -> InterventionPlan:
    """Returns the plan stored in a file."""
    from .. import InterventionPlan

    if not path.exists():
        raise ValueError(
            f"There is no plan {path}; run `keras-pli suggest` or `keras-pli propose --pick` with the same "
            "--out first, or name one by --plan."
        )
    return InterventionPlan.load(path)


def check_classes(classifier: Any, labels: Any, path: str, *, unlabelled: bool = False) -> None:
    """Raises a `ValueError` for labels that a classifier of one output has no unit for.

    Where `unlabelled`, -1 stands for no label.
    """
    from ..intervention.data_changes import lacks_label

    if unlabelled:
        labels = labels[~lacks_label(labels)]
    shape = getattr(classifier, "output_shape", None)
    if not isinstance(shape, tuple) or not shape or not isinstance(shape[-1], int):
        return
    classes = max(shape[-1], 2)  # a single unit tells two classes apart
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"{path} tells {classes} classes apart, 0 to {classes - 1}. Received labels from {labels.min()} "
            f"to {labels.max()}."
        )


def check_fits(classifier: Any, x: Any, path: str) -> None:
    """Raises a `ValueError` for inputs of another shape than a classifier of one input takes."""
    shape = getattr(classifier, "input_shape", None)
    if not isinstance(shape, tuple) or any(isinstance(size, tuple) for size in shape):
        return
    given, wanted = x.shape[1:], shape[1:]
    if len(given) == len(wanted) - 1 and wanted[-1] == 1:  # Keras adds the axis
        given = (*given, 1)
    fits = len(given) == len(wanted) and all(
        size in (None, own) for own, size in zip(given, wanted, strict=True)
    )
    if not fits:
        raise ValueError(f"{path} takes inputs of shape {shape}. Received shape {x.shape}.")


def _brief(error: Exception) -> str:
    """What an error says, without the configuration of a whole model that Keras may add."""
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else f"{text[:400]} …"


def kinds_named(methods: str) -> dict[str, type[Method]]:
    """Returns the attribution methods that a text names, with commas between, by their own names."""
    from ..attribution import find_method, method_name

    kinds = [find_method(given.strip()) for given in methods.split(",")]
    return {method_name(kind): kind for kind in kinds}


def missing_loss(classifier: Any) -> Any:
    """A loss for a classifier that was not compiled; None where it has its own."""
    from ..retraining import loss_for

    return None if getattr(classifier, "loss", None) is not None else loss_for(classifier)
