"""Requests that a server runs before it takes others, so that the first user does not wait."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# Where TensorFlow Serving looks, within a version.
WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
WARMUP_SIZES = (1, 8)
_MOST_RECORDS = 1000  # more of them TensorFlow Serving refuses

Request = dict[str, NDArray[Any]]


def can_write_warmup() -> bool:
    """Whether tensorflow-serving-api is there, whose records these are; warns if it is of another version."""
    if find_spec("tensorflow_serving") is None:
        return False
    try:
        _protos()
    except ImportError as error:
        warnings.warn(f"The version has no requests to warm up on. {error}", stacklevel=3)
        return False
    return True


def write_warmup(
    version: Path,
    model_name: str,
    requests: Mapping[str, Callable[[int], Request]],
    sizes: Sequence[int] = WARMUP_SIZES,
) -> Path:
    """Writes one request for each signature and batch size.

    Args:
        version: Folder of the version.
        model_name: What the server calls the model.
        requests: For each signature, what makes a request of so many samples.
        sizes: Batch sizes.

    Returns:
        The path of the file.

    Raises:
        ValueError: If a size is not a whole number from 1, or there are more requests than a server takes.
        ImportError: If tensorflow-serving-api is missing.
    """
    if any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in sizes):
        raise ValueError(f"`warmup` must hold whole numbers from 1. Received: {sizes!r}.")
    if len(requests) * len(sizes) > _MOST_RECORDS:
        raise ValueError(
            f"A server takes at most {_MOST_RECORDS} requests to warm up. "
            f"{len(requests)} signatures with {len(sizes)} batch sizes each are more."
        )
    logs = _protos()
    path = version / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, request in requests.items():
            for size in sizes:
                log = logs.PredictionLog()
                asked = log.predict_log.request
                asked.model_spec.name, asked.model_spec.signature_name = model_name, name
                for key, array in request(size).items():
                    asked.inputs[key].CopyFrom(tf.make_tensor_proto(array))
                writer.write(log.SerializeToString())
    return path


def read_warmup(version: str | Path) -> list[tuple[str, Request]]:
    """Returns the stored requests of a version: the name of a signature and arrays by input name.

    Raises:
        ValueError: If the version holds none.
        ImportError: If tensorflow-serving-api is missing.
    """
    path = Path(version, WARMUP_FILE)
    if not path.is_file():
        raise ValueError(f"{version} holds no requests to warm up on.")
    logs = _protos()
    read = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        asked = logs.PredictionLog.FromString(record).predict_log.request
        arrays = {name: np.asarray(tf.make_ndarray(part)) for name, part in asked.inputs.items()}
        read.append((asked.model_spec.signature_name, arrays))
    return read


def _protos() -> Any:
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except (ImportError, AttributeError, TypeError) as error:  # as protocol buffers put it
        raise ImportError(
            "Requests to warm up on are written with tensorflow-serving-api of TensorFlow's own version, "
            f"{tf.__version__}: pip install 'keras-pli[serving]'. Pass warmup=None to do without. ({error})"
        ) from error
    return prediction_log_pb2
