"""What a person does with proposals: looks at them, chooses, makes a plan."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
from matplotlib.text import Text

import keras_pli.intervention.proposals as package
from keras_pli import Exclude, InterventionPlan, Relabel, Weigh
from keras_pli.intervention import Proposal, Proposals, near_duplicates

MODULES = [f"{package.__name__}.{entry.name}" for entry in pkgutil.iter_modules(package.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.fixture(scope="module")
def three():
    def proposal(change, rows, label, kind, **more):
        scores, labels = (
            np.linspace(1, 0.5, len(rows)),
            () if label is None else (label,) * len(rows),
        )
        return Proposal(change, kind, np.array(rows), scores, labels, **more)

    return Proposals(
        (
            proposal(Relabel([1, 4], 0, reason="Among 0."), [4, 1], 1, "suspicious label"),
            proposal(Weigh([2, 3], 5.0), [2, 3], 1, "small group", beside=np.array([0])),
            proposal(
                Exclude([6]), [6], None, "duplicate", beside=np.array([2]), beside_in="test"
            ),
        ),
        "8 samples",
    )  # fmt: skip


def test_a_plan_of_some(three):
    assert three.plan() == InterventionPlan([p.change for p in three])
    assert len(three.plan(2)) == 2
    assert three.pick(3, 1).plan() == InterventionPlan([three[2].change, three[0].change])
    assert three[1:].plan() == three.pick(2, 3).plan()
    edited = three.plan().edited_data([0, 1, 1, 1, 1, 0, 0, 0])
    assert edited.counts == {"weighed": 2, "relabelled": 2, "excluded": 1, "unlabelled": 0}
    assert InterventionPlan.from_json(three.plan().to_json()) == three.plan()
    with pytest.raises(ValueError, match=r"from 1 and less than 4\. Received: 4"):
        three.pick(4)


def test_table_and_words(three):
    table = three.table()
    assert table.index.tolist() == [1, 2, 3]
    assert table["samples"].tolist() == [2, 2, 1]
    assert table["score"].tolist() == [0.75, 0.75, 1.0]
    assert repr(three).splitlines()[:3] == [
        "3 proposals of 8 samples",
        "  1. relabel 2 points (1, 4) as class 0: suspicious label, 2 samples",
        "     because: Among 0.",
    ]
    assert "Among 0." in three._repr_html_()
    assert repr(Proposals((), "8 samples")) == "no proposal of 8 samples"
    assert Proposals(()).table().empty


def test_pictures(three):
    random = np.random.default_rng(0)
    images, test_images = random.random((8, 6, 6)), random.random((3, 6, 6))
    figure = three.plot(images, test_images=test_images, class_names=["cat", "dog"])
    drawn = [ax.images[0].get_array() for ax in figure.axes]
    for row in (4, 1, 2, 3, 6, 0):
        assert any(
            np.allclose(picture.mean(axis=-1) if picture.ndim == 3 else picture, images[row])
            for picture in drawn
        )
    assert any(np.allclose(p.mean(axis=-1) if p.ndim == 3 else p, test_images[2]) for p in drawn)
    written = [text.get_text() for text in figure.texts]
    assert {
        "1. dog, relabel as cat (2)",
        "2. dog, weigh by 5 (2)",
        "3. duplicates, exclude (1)",
    } <= set(written)
    assert len(three.plot(images).axes) == 6  # without test images no partner is shown
    assert "The first 1 of 3 proposals" in {text.get_text() for text in _texts(three, images)}
    with pytest.raises(ValueError, match=r"more than 4\. Received 3"):
        three.plot(images[:3])
    with pytest.raises(ValueError, match=r"one shape\. Received \(6, 6\) and \(6, 5\)"):
        three.plot(images, test_images=test_images[..., :5])
    with pytest.raises(ValueError, match="nothing to draw: no proposal"):
        three[:0].plot(images)


def test_signals_are_drawn_too():
    signals = np.random.default_rng(0).normal(size=(20, 30))
    found = near_duplicates(signals, signals[:2])
    assert len(found.plot(signals, test_images=signals).axes) == 4


def _texts(proposals, images):
    return proposals.plot(images, most=1).findobj(Text)
