"""The networks that come with the package are whole, and explain digits that they never saw."""

import sys
from pathlib import Path

import numpy as np
import pytest

from keras_pli.rationale import RationaleGenerator, digit_networks, keeps_class, through_encoder
from keras_pli.rationale.digit_networks import FOLDER

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example():
    sys.path.insert(0, str(ROOT / "examples"))
    import rationale_digits

    yield rationale_digits
    sys.path.remove(str(ROOT / "examples"))


def test_networks_are_small_and_in_every_distribution():
    files = [*FOLDER.glob("*.keras")]
    assert {file.stem for file in files} == set(digit_networks()._fields)
    assert sum(file.stat().st_size for file in files) < 400_000
    # setuptools puts what this names beside the modules.
    named = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").split()
    assert named == ["recursive-include", "keras_pli", "*.keras"]


@pytest.mark.slow
def test_stored_networks_explain_held_out_digits(example):
    networks = digit_networks()
    _, (images, labels) = example.Digits.load_data()
    x = example.prepared(images[:100])
    why = RationaleGenerator(*networks, confidence=0.999, steps=500)(x)
    assert (why.predicted == labels[:100]).mean() > 0.9
    model = through_encoder(*networks[1:])
    assert keeps_class(why, model).mean() > 0.9 and why.reached.mean() > 0.98
    assert np.median(why.reconstruction_errors) < 0.15
