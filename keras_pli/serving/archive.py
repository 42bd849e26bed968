"""Writing a SavedModel: signatures over one copy of the variables, with texts beside."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf


def write_saved_model(
    folder: Path,
    functions: Mapping[str, Any],
    models: Iterable[keras.Model],
    texts: Mapping[str, str],
) -> None:
    """Writes a SavedModel.

    Only what the functions use is stored, each variable once: no optimizer, and no second path to a layer, by
    which a tracked Keras model would be stored again.

    Args:
        folder: Where to, an empty folder.
        functions: Concrete functions by the names of their signatures.
        models: The models they run, which may hold lookup tables.
        texts: Contents of text files by name, which become assets.

    Raises:
        ValueError: If a function uses a resource that cannot be found in the models.
    """
    root = tf.Module()
    stored = {
        id(variable): variable for function in functions.values() for variable in function.variables
    }
    root.stored_variables = list(stored.values())
    root.tables = [table for model in models for table in _tables(model)]
    with tempfile.TemporaryDirectory() as drafts:
        root.texts = [_asset(Path(drafts) / name, text) for name, text in texts.items()]
        try:
            tf.saved_model.save(
                root,
                str(folder),
                signatures=dict(functions),
                options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
            )
        except AssertionError as error:  # TensorFlow's word for a resource that it does not see
            raise ValueError(
                f"The model uses a resource that is no variable or lookup table of its layers: {error}"
            ) from error


def _asset(path: Path, text: str) -> Any:
    path.write_text(text, encoding="utf-8")
    return tf.saved_model.Asset(str(path))


def _tables(model: keras.Model) -> list[Any]:
    """The lookup tables of preprocessing layers."""
    resource = tf.saved_model.experimental.TrackableResource
    found = tf.train.TrackableView(model).descendants()
    return [part for part in found if isinstance(part, resource)]
