"""`report`: what it says of a small classifier of digits, and of models and data of other kinds."""

import re

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from sklearn.model_selection import train_test_split
from slow_cases import slow

import keras_pli as kp
from keras_pli.reporting import PARTS, model_report
from keras_pli.reporting.section import Section

DIGITS = 4  # classes
QUICK = [name for name in PARTS if name != "map"]  # that take no training
SOME = ["confusion", "errors", "filters", "maximizing", "provenance"]


@pytest.fixture(scope="module")
def digits():
    """Training and test set of four digits."""
    x, y = load_digits(n_class=DIGITS, return_X_y=True)
    images = (x / 16).astype("float32").reshape(-1, 8, 8, 1)
    x_train, x_test, y_train, y_test = train_test_split(
        images, y, test_size=0.5, stratify=y, random_state=0
    )
    return (x_train, y_train), (x_test, y_test)


@pytest.fixture(scope="module")
def classifier(digits):
    """A small network trained for so short that it makes errors."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(DIGITS, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    model.fit(*digits[0], epochs=5, verbose=0)
    return model


@pytest.fixture(scope="module", params=[SOME, slow(QUICK)], ids=["some", "quick"])
def parts(request):
    """The parts that are asked for."""
    return request.param


@pytest.fixture(scope="module")
def told(classifier, digits, parts):
    """The report of these parts."""
    return kp.report(classifier, digits, parts=parts, class_names=["null", "<b>", "2", "3"])


def small(units=DIGITS, shape=(8, 8, 1), activation="softmax"):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation=activation, name="head"),
        ]
    )


def test_the_table_of_classes_is_that_of_scikit_learn(told, classifier, digits):
    x, y = digits[1]
    predicted = classifier.predict(x, verbose=0).argmax(axis=1)
    table = told.tables["confusion"]["classes"]
    scores = precision_recall_fscore_support(y, predicted)
    for name, values in zip(("precision", "recall", "F1", "samples"), scores, strict=True):
        np.testing.assert_allclose(table[name], values, atol=6e-4)
    counts = confusion_matrix(y, predicted)
    np.fill_diagonal(counts, 0)
    worst = scores[2].argmin()
    assert counts[worst].max() > 0  # it does make errors
    names = ["null", "<b>", "2", "3"]
    taken = f"{names[counts[worst].argmax()]} ({counts[worst].max()}×)"
    assert table.loc[names[worst], "most often taken for"] == taken
    assert f"The worst class is {names[worst]}: F1 {scores[2][worst]:.3f}" in told.summary[1]
    assert (
        f"Accuracy {accuracy_score(y, predicted):.3f} on {len(y)} held-out samples"
        in told.summary[0]
    )


def test_errors_are_the_surest_ones(told, classifier, digits):
    x, y = digits[1]
    shares = classifier.predict(x, verbose=0)
    wrong = np.flatnonzero(shares.argmax(axis=1) != y)
    expected = wrong[np.argsort(-shares[wrong].max(axis=1))][:12]
    table = told.tables["errors"]["errors"]
    assert table.index.tolist() == expected.tolist()
    np.testing.assert_allclose(table["probability"], shares[expected].max(axis=1), atol=6e-4)
    checks = told.tables["errors"]["checks"]
    assert checks.index.tolist() == ["integrated gradients", "Grad-CAM"]
    assert (checks["area of deletion"] < checks["at random"]).any()


def test_each_part_says_how_far_to_believe_it(told, parts):
    assert not told.errors
    assert list(told.parts) == parts
    assert all(len(part.section.belief) > 40 for part in told.parts.values())


def test_maximising_images_are_told_with_the_models_probability(told):
    table = told.tables["maximizing"]["maximising scores"]
    sure = (table["probability"].astype(float) >= 0.99).sum()
    assert f"takes {sure} of {DIGITS} images" in told.parts["maximizing"].section.belief


def test_provenance_names_versions_digests_and_the_seed(told):
    table = told.tables["provenance"]["provenance"].iloc[:, 0]
    assert table["keras_pli"] == kp.__version__
    assert keras.__version__ in table["Keras"]
    assert table["seed"] == "0"
    assert re.fullmatch("[0-9a-f]{16}", table["data digest"])


@pytest.mark.slow
def test_the_page_is_one_file_that_needs_nothing_from_elsewhere(told, tmp_path):
    text = told.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert text == told.html()
    assert "<b>" not in text  # a class of that name is shown as such
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    for name in told.parts:
        assert f'<h2 id="{name}">' in text
        assert f'href="#{name}"' in text


def test_a_report_shows_itself(told, parts):
    assert repr(told).startswith(f"ModelReport of {len(parts)} parts: Accuracy")
    assert told._repr_html_().count("<p>") == len(told.summary)
    assert all(isinstance(part.section, Section) for part in told.parts.values())


@pytest.mark.slow
def test_the_model_is_left_as_it_was(classifier, digits):
    before = classifier.get_weights()
    optimizer, rate = classifier.optimizer, float(classifier.optimizer.learning_rate)
    kp.report(classifier, digits, parts=["errors", "labels", "sharpness"])
    for old, new in zip(before, classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert classifier.optimizer is optimizer
    assert float(optimizer.learning_rate) == rate


def test_the_map_is_measured_on_points_it_was_not_fitted_to(digits, monkeypatch):
    seen = {}

    class Projection:
        """Stands for a trained map: the first two features."""

        def __init__(self, **options):
            pass

        def fit(self, z, **options):
            seen["fitted"] = len(z)

        def predict(self, z, **options):
            return z[:, :2]

    monkeypatch.setattr("keras_pli.reporting.representation.ParametricTSNE", Projection)
    (x_train, _), (x, y) = digits
    model = small()
    found = kp.report(model, digits, parts=["map"])
    z = kp.activations(model, x)
    expected = kp.quality.trustworthiness(z, z[:, :2])
    assert seen["fitted"] == len(x_train)
    assert f"Trustworthiness {expected:.3f} on {len(x)} points" in found.parts["map"].section.belief
    assert list(found.figures["map"]) == ["map", "thumbnails"]
    kp.report(model, (x, y), parts=["map"])
    assert seen["fitted"] == len(x) - len(x) // 3


def test_a_failing_part_loses_no_other(classifier, digits, tmp_path, monkeypatch):
    def fails(context):
        raise RuntimeError("the <disk> is full")

    monkeypatch.setitem(model_report.PARTS, "filters", fails)
    found = kp.report(classifier, digits, tmp_path / "a.html", parts=["provenance", "filters"])
    assert list(found.errors) == ["filters"]
    assert found.parts["provenance"].section is not None
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "This part failed: RuntimeError: the &lt;disk&gt; is full" in text
    assert "1 part failed: filters." in found.summary


def test_an_interrupt_keeps_what_was_finished(classifier, digits, tmp_path, monkeypatch):
    def interrupted(context):
        raise KeyboardInterrupt

    monkeypatch.setitem(model_report.PARTS, "filters", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kp.report(classifier, digits, tmp_path, parts=["confusion", "filters", "provenance"])
    text = (tmp_path / "model_report.html").read_text(encoding="utf-8")
    assert "Each class" in text
    assert text.count("It was interrupted.") == 2


@pytest.mark.slow
def test_large_data_are_sampled_and_the_page_says_so(classifier, digits):
    found = kp.report(classifier, digits, parts=["provenance", "errors"], samples=100, seed=3)
    held = len(digits[1][0])
    assert "100 of them drawn at random" in found.html()
    drawn = found.tables["provenance"]["provenance"].iloc[:, 0]["samples reported on"]
    assert drawn == f"100, drawn at random, of {held} of shape (8, 8, 1)"
    # Samples keep the numbers that they have in the whole set.
    x, y = digits[1]
    for sample, row in found.tables["errors"]["errors"].iterrows():
        assert row["label"] == str(y[sample])
        shares = classifier.predict(x[sample : sample + 1], verbose=0)
        np.testing.assert_allclose(row["probability"], shares.max(), atol=6e-4)


@pytest.mark.slow
def test_logits_and_one_hot_labels_give_the_same_table(digits):
    x, y = digits[1]
    soft, logits = small(), small(activation=None)
    logits.set_weights(soft.get_weights())
    one = kp.report(soft, (x, y), parts=["confusion", "errors", "sharpness"])
    other = kp.report(
        logits, (x[..., 0], np.eye(DIGITS)[y]), parts=["confusion", "errors", "sharpness"]
    )
    assert one.tables["confusion"]["classes"].equals(other.tables["confusion"]["classes"])
    assert one.tables["errors"]["errors"].equals(other.tables["errors"]["errors"])
    values = [
        float(found.tables["sharpness"]["sharpness"]["value"].iloc[0]) for found in (one, other)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-3)
    assert "saliency" in one.tables["errors"]["checks"].index  # without maps for Grad-CAM


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_a_single_unit_tells_two_classes_apart(digits, activation):
    x, y = (part[digits[1][1] < 2] for part in digits[1])
    model = small(1, activation=activation)
    found = kp.report(
        model, (x, y), parts=["confusion", "errors", "labels", "maximizing", "sharpness"]
    )
    assert not found.errors
    scores = model.predict(x, verbose=0)[:, 0]
    right = np.mean((scores > (0.5 if activation else 0)) == y)
    assert f"Accuracy {right:.3f}" in found.summary[0]
    assert found.tables["maximizing"]["maximising scores"]["the model says"].tolist() == ["0", "1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        (12,),
        (24, 2),
        (8, 8),
        (6, 6, 6, 1),
    ],
)
def test_vectors_signals_images_without_channels_and_volumes(shape):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, *shape)), np.arange(60) % 3
    found = kp.report(
        small(3, shape), (x, y), parts=["errors", "labels", "maximizing", "top_images"]
    )
    assert not found.errors
    assert "No layer has channels" in found.parts["top_images"].reason or len(shape) == 1
    pictures = {"attributions"} if len(shape) > 1 else set()
    assert pictures <= set(found.figures["errors"])
    if len(shape) == 1:
        assert found.parts["maximizing"].reason.startswith("The inputs are vectors")


@pytest.mark.slow
def test_of_vectors_the_features_that_decided_are_told():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 12)), np.arange(60) % 3
    model = small(3, (12,))
    table = kp.report(model, (x, y), parts=["errors"]).tables["errors"]["features"]
    weights = model.get_weights()[0]
    for sample, text in table["integrated gradients"].items():
        predicted = model.predict(x[sample : sample + 1], verbose=0).argmax()
        counts = x[sample] * weights[:, predicted]  # of a linear model, from a baseline of 0
        first = np.argsort(-np.abs(counts))[:3]
        assert re.findall(r"(\d+) \(", text) == [str(feature) for feature in first]
        assert f"({counts[first[0]]:+.2g})".replace("-", "\N{MINUS SIGN}") in text


class Subclassed(keras.Model):
    """A network that is no graph of layers."""

    def __init__(self, units):
        super().__init__()
        self.conv = keras.layers.Conv2D(3, 3, activation="relu")
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.head = keras.layers.Dense(units)

    def call(self, inputs):
        return self.head(self.pool(self.conv(inputs)))


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 2])
def test_subclassed_models(digits, units):
    x, y = (part[digits[1][1] < 2] for part in digits[1])
    keras.utils.set_random_seed(1)
    model = Subclassed(units)
    scores = np.asarray(model(x))
    predicted = scores[:, 0] > 0 if units == 1 else scores.argmax(axis=1)
    found = kp.report(model, (x, y), parts=["errors", "labels", "sharpness"])
    assert not found.errors
    assert f"Accuracy {np.mean(predicted == y):.3f}" in found.summary[0]
    checks = found.tables["errors"]["checks"]
    assert "Grad-CAM" in checks.index


def test_of_an_average_of_probabilities_what_needs_logits_is_left_out(digits):
    inputs = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(inputs)
    heads = [keras.layers.Dense(DIGITS, activation="softmax")(flat) for _ in range(2)]
    model = keras.Model(inputs, keras.layers.Average()(heads))
    found = kp.report(model, digits[1], parts=["confusion", "errors", "labels", "maximizing"])
    assert not found.errors
    for name in ("labels", "maximizing"):
        assert "No logits can be found" in found.parts[name].reason
    assert "There are no attributions" in found.parts["errors"].section.belief
    x, y = digits[1]
    right = np.mean(model.predict(x, verbose=0).argmax(axis=1) == y)
    assert f"Accuracy {right:.3f}" in found.summary[0]


@pytest.mark.slow
def test_several_inputs_have_the_parts_that_need_no_picture():
    one, other = keras.Input((3,), name="one"), keras.Input((2,), name="other")
    joined = keras.layers.Concatenate()([one, other])
    model = keras.Model([one, other], keras.layers.Dense(2, activation="softmax")(joined))
    random = np.random.default_rng(0)
    x = {"one": random.normal(size=(40, 3)), "other": random.normal(size=(40, 2))}
    found = kp.report(
        model, (x, np.arange(40) % 2), parts=[name for name in PARTS if name != "map"]
    )
    assert not found.errors
    assert "2 inputs" in found.parts["maximizing"].reason
    assert len(found.tables["confusion"]["classes"]) == 2


@pytest.mark.slow
def test_one_of_several_outputs_is_named(digits):
    inputs = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(inputs)
    heads = [
        keras.layers.Dense(units, activation="softmax", name=name)(flat)
        for name, units in (("digit", DIGITS), ("parity", 2))
    ]
    model = keras.Model(inputs, heads)
    with pytest.raises(ValueError, match=r"has 2 outputs.*Pass output=.*'digit', 'parity'"):
        kp.report(model, digits)
    x, y = digits[1]
    found = kp.report(model, (x, y % 2), output="parity", parts=["confusion", "errors"])
    assert not found.errors
    right = np.mean(model.predict(x, verbose=0)[1].argmax(axis=1) == y % 2)
    assert f"Accuracy {right:.3f}" in found.summary[0]
    with pytest.raises(ValueError, match="Received: 'size'"):
        kp.report(model, digits, output="size")


@pytest.mark.slow
def test_tiny_data(classifier, digits):
    x, y = digits[1]
    found = kp.report(classifier, (x[:3], y[:3]), parts=["errors", "map", "labels", "top_images"])
    assert not found.errors
    assert "at least 40 samples" in found.parts["map"].reason
    assert "Left out" in found.html()


@pytest.mark.slow
def test_what_makes_no_error(digits):
    x, y = digits[1]
    keras.utils.set_random_seed(0)
    model = small()
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=30, verbose=0)
    found = kp.report(model, (x, y), parts=["errors"])
    assert found.summary[1] == "No sample is classified wrongly."
    assert found.parts["errors"].title == "Least certain samples"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": ["confusion", "fliters"]}, "'fliters'"),
        ({"class_names": ["a", "b"]}, "4 classes. Received: 'a', 'b'"),
        ({"samples": 0}, "`samples`"),
        ({"seed": -1}, "`seed`"),
        ({"data": np.zeros(3)}, "Received: ndarray"),
        ({"data": (np.zeros((3, 8, 8, 1)), [0, 1])}, "labels of shape"),
        ({"data": (np.zeros((3, 8, 8, 1)), [0, 1, 4])}, "labels from 0 to 4"),
        ({"data": (np.zeros((3, 8, 8, 1)), [0, 0.5, 1])}, "must be classes"),
        ({"data": (np.zeros((2, 8, 8, 1)), np.ones((2, 4)))}, "not one-hot"),
        ({"data": (np.zeros((2, 9, 8, 1)), [0, 1])}, "Received shape"),
    ],
)
def test_bad_input_is_quoted(classifier, digits, change, message):
    options = {"data": digits, "parts": ["provenance"], **change}
    with pytest.raises(ValueError, match=re.escape(message)):
        kp.report(classifier, options.pop("data"), **options)


def test_no_model():
    with pytest.raises(TypeError, match="model"):
        kp.report("model.keras", (np.zeros(3), np.zeros(3)))


@pytest.mark.slow
def test_the_whole_report(classifier, digits, tmp_path):
    found = kp.report(classifier, digits, tmp_path)
    assert not found.errors
    assert found.path == tmp_path / "model_report.html"
    assert list(found.parts) == list(PARTS)
    assert all(part.section is not None for part in found.parts.values())
    assert found.path.stat().st_size < 3e6
    again = kp.report(classifier, digits, parts=["maximizing", "labels"])
    for name in ("maximizing", "labels"):
        for table, values in again.tables[name].items():
            assert values.equals(found.tables[name][table])
