import keras
import numpy as np
import pandas as pd
import pytest

from keras_pli.attribution import Saliency
from keras_pli.evaluation import data_randomization_test

L = keras.layers


def lesson(seed):
    """A small network that can learn forty samples by heart."""
    model = keras.Sequential([keras.Input((10,)), L.Dense(64, "relu"), L.Dense(2, "softmax")])
    optimizer = keras.optimizers.Adam(0.02)
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
    return model


@pytest.fixture(scope="module")
def lessons():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 10)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(int)


@pytest.mark.slow
def test_maps_of_permuted_labels_differ_unless_they_see_no_model(lessons):
    x, y = lessons
    methods = {"saliency": Saliency, "input": lambda model: lambda x, target: x}
    result = data_randomization_test(methods, lesson, x, y, x[:12], 1, seeds=2)
    assert result.verdicts["input"].conclusion == "insensitive"
    assert result.verdicts["saliency"].conclusion == "sensitive"
    rows = result.table.set_index(["method", "measure", "absolute"])
    row = rows.loc["saliency", "spearman", False]
    assert 0.999 > row["reference"] > 0.6 > row["mean"]  # true labels agree on what decides
    assert set(result.table["mode"]) == {"data"}
    assert result.training.groupby("labels")["accuracy"].min().min() >= 0.95
    means = result.training.groupby("labels")["epochs"].mean()
    assert means["permuted"] > means["true"]
    reached = result.training.groupby("labels")["accuracy"].mean()["permuted"]
    assert f"permuted labels to {reached:.0%}" in str(result)
    assert repr(result) == "RandomizationResult of 2 methods: saliency sensitive, input insensitive"
    assert result._repr_html_().count("data:image/png") == 1
    spearman = result.plot().axes[0]
    drawn = sorted(
        float(line.get_ydata()[0]) for line in spearman.lines if line.get_marker() in "o^"
    )
    signed = result.table.query("measure == 'spearman' and not absolute")["mean"]
    np.testing.assert_allclose(drawn, sorted(signed))


@pytest.mark.slow
def test_training_ends_at_the_stated_accuracy(lessons):
    x, y = lessons
    seen = []

    def watched(seed):
        seen.append(lesson(seed))
        return seen[-1]

    log = data_randomization_test(Saliency, watched, x, y, x[:3], seeds=1, accuracy=0.7).training
    assert (log["accuracy"] >= 0.7).all() and (log["epochs"] < 30).all()
    reached = np.mean(seen[0].predict(x, verbose=0).argmax(axis=1) == y)
    assert log["accuracy"].iloc[0] == pytest.approx(reached)


def test_the_two_networks_of_the_other_start_differ_in_labels_alone(lessons):
    x, y = lessons
    starts, taught = [], []

    class Watched(keras.Sequential):
        def fit(self, x, y, **options):
            starts.append(self.get_weights()[0])
            taught.append(np.array(y))
            return super().fit(x, y, **options)

    def build(seed):
        model = Watched([keras.Input((10,)), L.Dense(8, "relu"), L.Dense(2, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
        return model

    data_randomization_test(Saliency, build, x, y, x[:3], seeds=1, epochs=1)
    np.testing.assert_array_equal(starts[1], starts[2])
    assert not np.allclose(starts[0], starts[1])
    np.testing.assert_array_equal(taught[:2], [y, y])
    assert not np.array_equal(taught[2], y)
    np.testing.assert_array_equal(np.sort(taught[2]), np.sort(y))


@pytest.mark.slow
def test_all_networks_explain_what_the_first_predicts(lessons):
    x, y = lessons
    networks, asked = [], []

    def spying(model):
        networks.append(model)

        def explain(x, target):
            asked.append(np.array(target))
            return x

        return explain

    data_randomization_test(spying, lesson, x, y, x[:8], seeds=1, epochs=20)
    first, _, permuted = (model.predict(x[:8], verbose=0).argmax(axis=1) for model in networks)
    np.testing.assert_array_equal(asked, [first] * 3)
    assert not np.array_equal(first, permuted)


@pytest.mark.slow
def test_integer_and_one_hot_labels_teach_the_same_for_the_stated_epochs(lessons):
    x, y = lessons

    def one_hot(seed):
        model = lesson(seed)
        model.compile(model.optimizer, "categorical_crossentropy", jit_compile=False)
        return model

    first, other = (
        data_randomization_test(Saliency, build, x, labels, x[:4], seeds=1, epochs=2)
        for build, labels in ((lesson, y), (one_hot, np.eye(2)[y]))
    )
    assert list(first.training["epochs"]) == [2, 2, 2]
    pd.testing.assert_frame_equal(first.training, other.training)
    np.testing.assert_allclose(first.table["mean"], other.table["mean"], atol=1e-3)


def test_bad_lessons_are_met_at_the_door(lessons):
    x, y = lessons
    for given, message in (
        ((lesson, x, y[:3]), "one label"),
        ((lambda seed: keras.Sequential([keras.Input((10,)), L.Dense(2)]), x, y), "compiled"),
    ):
        with pytest.raises(ValueError, match=message):
            data_randomization_test(Saliency, *given, x[:3])
    with pytest.raises(ValueError, match="`accuracy` must lie"):
        data_randomization_test(Saliency, lesson, x, y, x[:3], accuracy=95)
