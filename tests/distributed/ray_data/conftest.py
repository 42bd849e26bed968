"""One cluster for all tests of Ray in a process, and rows through an actor without a cluster."""

import os

import keras
import numpy as np
import pytest
from rows_of_tables import table_of, worker_of

from keras_pli.distributed.ray_data.columns import Columns
from keras_pli.distributed.ray_data.explaining import Explaining

pytest.importorskip("ray.data")
pytest.importorskip("pyarrow")


@pytest.fixture(scope="session")
def cluster():
    """Ray on two CPUs, for this process alone."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if not ray.is_initialized():
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=300_000_000,
        )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


@pytest.fixture(scope="session")
def images():
    """uint8 images of a size that a small network is quick on, and their labels."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (40, 8, 8, 1), np.uint8), random.integers(0, 3, 40)


@pytest.fixture(scope="session")
def classifier():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ],
        name="small",
    )


@pytest.fixture(scope="session")
def stored(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small.keras"
    classifier.save(path)
    return str(path)


@pytest.fixture
def explained():
    """A function that explains a table of columns in this process."""

    def run(model, columns, method="saliency", *, on_error="raise", reads=None, **asked):
        target, settings = asked.pop("target", None), asked
        job = Explaining.of(method, settings, target=target, batch_size=16)
        others = {"labels": "label"} if target == "label" else {}
        worker = worker_of(model, job, reads or Columns("image", others), on_error)
        return worker(columns if hasattr(columns, "schema") else table_of(columns))

    return run
