"""A folder with a session, made once and copied for each test: opening a copy traces nothing."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_studio import CLASSES, SAMPLES, SHIFT, ask, linear, new_round

from keras_pli.studio import StudioData, StudioSession


@pytest.fixture(scope="module", autouse=True)
def always(without_tracing):
    """Nothing here is compiled."""


@pytest.fixture(scope="session")
def data() -> StudioData:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, 4)).astype("float32")
    labels = np.arange(SAMPLES) % CLASSES
    classifier = linear(CLASSES, 4, 1, "tiny")
    return StudioData.of(classifier, x, labels, test=(x[:9] + 0.1, labels[:9]), class_names="abc")


@pytest.fixture(scope="session")
def embedder() -> keras.Model:
    return linear(2, CLASSES, 2, "map")


@pytest.fixture(scope="session")
def made_once(data, embedder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    made = StudioSession(data, folder, embedder=embedder)
    assert made.note is None
    made.close()
    return folder


@pytest.fixture
def folder(made_once, tmp_path):
    return Path(shutil.copytree(made_once, tmp_path / "run"))


@pytest.fixture
def session(data, folder):
    made = StudioSession(data, folder)
    yield made
    made.close()


@pytest.fixture(scope="session")
def two_rounds_once(data, made_once, tmp_path_factory):
    folder = Path(shutil.copytree(made_once, tmp_path_factory.mktemp("two") / "run"))
    made = StudioSession(data, folder)
    ask(made, "change", change=SHIFT)
    new_round(made)
    made.close()
    return folder


@pytest.fixture
def two_rounds(two_rounds_once, tmp_path):
    """A folder whose session looks at round 1; round 0 has a move in its plan."""
    return Path(shutil.copytree(two_rounds_once, tmp_path / "run"))
