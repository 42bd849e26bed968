"""The model in saved_models/ is whole and does what its README says."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_pli.serving import read_warmup, versions

FOLDER = Path(__file__).parents[2] / "saved_models" / "digits"


@pytest.fixture(scope="module")
def signatures():
    return tf.saved_model.load(str(FOLDER / str(versions(FOLDER)[-1]))).signatures


@pytest.fixture(scope="module")
def held_out():
    digits = load_digits()
    images = (digits.images / 16).astype("float32")[..., None]
    split = train_test_split(
        images, digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    return split[1], split[3]


def test_accuracy(signatures, held_out):
    x, labels = held_out
    found = signatures["serving_default"](image=x)
    accuracy = np.mean(found["top_classes"].numpy()[:, 0] == labels)
    assert accuracy == pytest.approx(0.969, abs=0.005)
    right = found["top_classes"].numpy()[:, 0] == 3
    assert set(found["top_names"].numpy()[right, 0]) == {b"three"}


def test_the_map_tells_the_digits_apart(signatures, held_out):
    from sklearn.neighbors import KNeighborsClassifier

    x, labels = held_out
    y = signatures["embed"](image=x)["embedding"].numpy()
    assert KNeighborsClassifier(5).fit(y[:225], labels[:225]).score(y[225:], labels[225:]) > 0.9


@pytest.mark.slow
def test_integrated_gradients_add_up(signatures, held_out):
    x, target = held_out[0][:16], np.full(16, -1, np.int32)
    zeros = np.zeros_like(x)
    found = signatures["explain_integrated_gradients"](image=x, baseline=zeros, target=target)
    logits = signatures["serving_default"](image=x)["logits"].numpy()
    start = signatures["serving_default"](image=zeros)["logits"].numpy()
    aim = found["target"].numpy()
    difference = (logits - start)[np.arange(16), aim]
    total = found["attributions"].numpy().sum(axis=(1, 2, 3))
    np.testing.assert_allclose(total, difference, rtol=0.02, atol=0.05)
    np.testing.assert_allclose(found["delta"], total - difference, atol=1e-3)


def test_it_is_documented(signatures):
    version = FOLDER / str(versions(FOLDER)[-1])
    document = json.loads((version / "assets" / "signatures.json").read_text())
    assert set(document["signatures"]) == set(signatures)
    assert document["class_names"][3] == "three"


@pytest.mark.slow
def test_its_warm_up_requests_are_answered(signatures):
    pytest.importorskip("tensorflow_serving")
    asked = read_warmup(FOLDER / str(versions(FOLDER)[-1]))
    assert {name for name, _ in asked} == set(signatures)
    for name, arrays in asked:
        signatures[name](**{key: tf.constant(array) for key, array in arrays.items()})


def test_it_is_small():
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 2**20
