"""The networks in saved_models/rationale_digits are whole, and explain digits that they never saw."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_pli.rationale import RationaleGenerator, keeps_class, through_encoder

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "saved_models" / "rationale_digits"


@pytest.fixture(scope="module")
def example():
    sys.path.insert(0, str(ROOT / "examples"))
    import rationale_digits

    yield rationale_digits
    sys.path.remove(str(ROOT / "examples"))


def test_networks_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2e6


def test_stored_networks_explain_held_out_digits(example):
    networks = [
        keras.saving.load_model(FOLDER / f"{name}.keras")
        for name in ("generator", "encoder", "classifier")
    ]
    _, (images, labels) = example.Digits.load_data()
    x = example.prepared(images[:100])
    why = RationaleGenerator(*networks, confidence=0.999, steps=500)(x)
    assert (why.predicted == labels[:100]).mean() > 0.9
    model = through_encoder(*networks[1:])
    assert keeps_class(why, model).mean() > 0.9 and why.reached.mean() > 0.98
    assert np.median(why.reconstruction_errors) < 0.15
