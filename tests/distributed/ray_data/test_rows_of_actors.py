"""Rows through an actor in this process, against the method called on all of them."""

import keras
import numpy as np
import pyarrow
import pytest
from quick_methods import QUICK
from rows_of_tables import arrays_of, table_of, worker_of

from keras_pli.attribution import (
    CAM,
    LIME,
    METHODS,
    IntegratedGradients,
    Saliency,
    SmoothGrad,
    method_name,
)
from keras_pli.attribution.dataset import explain_dataset, load_attributions
from keras_pli.distributed.ray_data.actors import made_up_inputs
from keras_pli.distributed.ray_data.columns import Columns
from keras_pli.distributed.ray_data.explaining import Explaining
from keras_pli.network.targets import AtPosition, Within

pytestmark = pytest.mark.filterwarnings("ignore:TensorFlow was at work")


def floats(images):
    return images[0].astype("float32") / 255


# Of the default run, those that draw.
DRAW = (SmoothGrad, LIME)
KINDS = [pytest.param(kind, marks=() if kind in DRAW else pytest.mark.slow) for kind in METHODS]


@pytest.mark.parametrize("kind", KINDS, ids=map(method_name, METHODS))
def test_a_row_is_explained_alike_in_any_batch(kind, classifier, images):
    settings = QUICK.get(kind.__name__, {})
    if kind is CAM:  # wants a network that ends in a mean
        mean = keras.layers.GlobalAveragePooling2D()(classifier.get_layer("conv").output)
        classifier = keras.Model(classifier.inputs, keras.layers.Dense(3)(mean))
    x = floats(images)[:10]
    job = Explaining.of(kind, settings, target=None, batch_size=16)
    worker = worker_of(classifier, job, Columns("image"))
    whole = worker(table_of({"image": x}))
    names = [name for name in whole.column_names if name != "image"]
    order = np.array([7, 2, 9])
    parts = [worker(table_of({"image": x[order]})), worker(table_of({"image": x[3:4]}))]
    for name in names:
        all_rows = arrays_of(whole, name)
        tolerance = 1e-6 * max(1.0, np.abs(all_rows).max())
        np.testing.assert_allclose(arrays_of(parts[0], name), all_rows[order], atol=tolerance)
        np.testing.assert_allclose(arrays_of(parts[1], name), all_rows[3:4], atol=tolerance)


def test_columns_are_those_of_explain_dataset(explained, classifier, images, tmp_path):
    import tensorflow as tf

    x = floats(images)
    explain_dataset(
        IntegratedGradients(classifier, steps=4),
        tf.data.Dataset.from_tensor_slices((x, images[1])).batch(7),
        tmp_path,
        target="label",
        verbose=0,
    )
    wanted = load_attributions(tmp_path)
    made = explained(
        classifier,
        {"image": x, "label": images[1]},
        "integrated_gradients",
        target="label",
        steps=4,
    )
    assert set(made.column_names) - {"image", "label"} == set(wanted) - {"index"}
    for name in ("attributions", "scores", "delta"):
        np.testing.assert_allclose(arrays_of(made, name), wanted[name], atol=1e-6)


def test_the_caller_s_columns_stay_as_they_are(explained, classifier, images):
    table = table_of({"image": floats(images)[:3]})
    own = pyarrow.table(
        {
            "count": pyarrow.array([1, None, 3], pyarrow.int16()),
            "name": pyarrow.array(["a", None, "b"]).dictionary_encode(),
            "raw": pyarrow.array([b"\x00", b"", None]),
            "when": pyarrow.array([0, 1, None], pyarrow.timestamp("ms", "UTC")),
            "nested": pyarrow.array([[{"a": 1}], [], None]),
        }
    )
    for name in own.column_names:
        table = table.append_column(name, own.column(name))
    made = explained(classifier, table)
    assert made.select(own.column_names).equals(own)


@pytest.mark.parametrize("on_error", ["raise", "column"])
def test_bad_rows(on_error, explained, classifier, images):
    rows = [image.astype("float32") for image in images[0][:8]]
    rows[1] = rows[1] * np.nan
    rows[4] = rows[4][:5]
    rows[6] = None
    labels = np.array([0, 1, 2, 3, 0, 1, 2, 1])
    held = np.empty(8, object)
    held[:] = rows
    columns = {"image": held, "label": labels, "id": np.array(list("abcdefgh"))}
    good = [0, 2, 5, 7]

    def decoded(column):  # as one that reads files would
        if any(row is None for row in column):
            raise OSError("cannot identify image file")
        return np.stack(list(column))

    reads = Columns("image", {"labels": "label"}, preprocess=decoded)
    job = Explaining.of("saliency", {}, target="label", batch_size=8)
    worker = worker_of(classifier, job, reads, on_error)
    rows = reads.read(table_of({key: columns[key] for key in ("label", "id")} | {"image": labels}))
    reads_rows = type(rows)({"image": held}, rows.others, rows.ids)
    parts = []
    if on_error == "raise":
        with pytest.raises(ValueError, match=r"The row with id 'b' cannot be used: .*NaN or inf"):
            list(worker._parts(reads_rows))
        return
    parts = list(worker._parts(reads_rows))
    errors = [said for said, _ in worker._told(parts)]
    assert [place for place, said in enumerate(errors) if said is None] == good
    for place, words in {
        1: "NaN or infinity",
        3: "classes that do not exist: 3",
        4: "takes inputs of shape (None, 8, 8, 1). Received shape (1, 5, 8, 1)",
        6: "cannot identify image file",
    }.items():
        assert words in errors[place]
    wanted = Saliency(classifier)(np.stack([rows_[0] for rows_ in zip(held[good])]), labels[good])
    found = np.concatenate([part[0]["attributions"] for part in parts if not isinstance(part, str)])
    np.testing.assert_allclose(found, wanted.attributions, atol=1e-6)


def test_what_is_missing_is_nan_or_null(explained, classifier, images):
    x = floats(images)[:5]
    x[2, 0, 0] = np.inf
    made = explained(classifier, {"image": x}, "lime", on_error="column", samples=10, segments=3)
    errors = made.column("error").to_pylist()
    assert [said is None for said in errors] == [True, True, False, True, True]
    for name in ("attributions", "scores", "details/segments", "details/r2"):
        missing = np.isnan(arrays_of(made, name).reshape(5, -1))
        assert missing[2].all() and missing.sum() == missing[2].sum()


def test_a_batch_without_a_good_row_has_the_others_columns(explained, classifier, images):
    x = floats(images)[:4]
    fine = explained(classifier, {"image": x}, "integrated_gradients", on_error="column", steps=2)
    bad = explained(
        classifier, {"image": x * np.nan}, "integrated_gradients", on_error="column", steps=2
    )
    assert bad.schema.equals(fine.schema)
    assert np.isnan(arrays_of(bad, "attributions")).all()
    assert not any(said is None for said in bad.column("error").to_pylist())


def test_a_table_without_rows_gets_the_columns(explained, classifier, images):
    table = table_of({"image": floats(images)[:4]})
    full, none = explained(classifier, table), explained(classifier, table.slice(0, 0))
    assert none.schema.equals(full.schema) and len(none) == 0


def test_two_inputs_by_name_and_in_order(explained):
    first, second = keras.Input((4,), name="first"), keras.Input((6,), name="second")
    joined = keras.layers.Concatenate()([first, second])
    model = keras.Model([first, second], keras.layers.Dense(3)(joined))
    random = np.random.default_rng(0)
    a, b = random.random((5, 4), np.float32), random.random((5, 6), np.float32)
    wanted = Saliency(model)([a, b], 1).attributions
    table = {"b": b, "a": a}
    ordered = explained(model, table, reads=Columns(["a", "b"]), target=1)
    named = explained(model, table, reads=Columns({"second": "b", "first": "a"}), target=1)
    np.testing.assert_allclose(arrays_of(ordered, "attributions/1"), wanted[1], atol=1e-6)
    np.testing.assert_allclose(arrays_of(named, "attributions/second"), wanted[1], atol=1e-6)
    np.testing.assert_allclose(arrays_of(named, "attributions/first"), wanted[0], atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 2), (6, 6, 6, 1)], ids=["signal", "volume"])
def test_signals_and_volumes(shape, explained):
    layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input(shape), *layers])
    x = np.random.default_rng(0).random((5, *shape), np.float32)
    made = explained(model, {"image": x}, "occlusion", target=2)
    from keras_pli.attribution import Occlusion

    wanted = Occlusion(model)(x, 2).attributions
    np.testing.assert_allclose(arrays_of(made, "attributions"), wanted, atol=1e-6)


def test_token_ids_as_lists(explained):
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            keras.layers.Embedding(20, 4),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    ids = np.random.default_rng(0).integers(0, 20, (5, 6))
    table = pyarrow.table({"tokens": ids.tolist(), "id": list(range(5))})
    made = explained(model, table, reads=Columns(), embeddings="sum", target=1)
    wanted = Saliency(model, embeddings="sum")(ids, 1).attributions
    np.testing.assert_allclose(arrays_of(made, "attributions"), wanted, atol=1e-6)
    table = pyarrow.table(
        {"tokens": [[*row, 1][: 5 + place] for place, row in enumerate(ids.tolist()[:3])]}
    )
    with pytest.raises(ValueError, match=r"Row 0 of a batch .* takes inputs of shape"):
        explained(model, table, reads=Columns(), embeddings="sum", target=1)


def test_a_model_of_fixed_batch(explained, images):
    inputs = keras.Input(batch_shape=(4, 8, 8, 1))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    x = floats(images)[:6]
    made = explained(model, {"image": x}, target=1)
    np.testing.assert_allclose(
        arrays_of(made, "attributions"), Saliency(model)(x, 1).attributions, atol=1e-6
    )


def test_places_and_functions_as_targets(explained, images):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3, padding="same")])
    x = floats(images)[:4]
    left = np.arange(8) < np.full((8, 1), 4)

    def difference(logits):
        return logits[:, 4, 4, 1] - logits[:, 4, 4, 0]

    for target in (AtPosition(1, (4, 4)), Within(None, left), difference):
        made = explained(model, {"image": x}, target=target)
        wanted = Saliency(model)(x, target).attributions
        np.testing.assert_allclose(arrays_of(made, "attributions"), wanted, atol=1e-6)


def test_a_function_makes_the_method(explained, classifier, images):
    def method(model):
        return SmoothGrad(IntegratedGradients(model, steps=2), samples=2)

    x = floats(images)[:4]
    made = explained(classifier, {"image": x}, method, target=1)
    np.testing.assert_allclose(
        arrays_of(made, "attributions"), method(classifier)(x, 1).attributions, atol=1e-6
    )


def test_a_row_is_made_up_for_every_input():
    a, b = keras.Input((None, 2)), keras.Input((3,), dtype="int32")
    rows = made_up_inputs({"model": keras.Model([a, b], [a, b])})
    assert [row.shape for row in rows] == [(1, 8, 2), (1, 3)]
    assert rows[1].dtype.kind == "i"


def test_columns_that_are_missing_or_taken(explained, classifier, images):
    x = floats(images)[:2]
    with pytest.raises(ValueError, match=r"no column 'image'\. It has 'picture'"):
        explained(classifier, {"picture": x})
    with pytest.raises(ValueError, match=r"has a column 'scores' already"):
        explained(classifier, {"image": x, "scores": np.ones(2)})
    with pytest.raises(ValueError, match=r"`column` must say which of 'image', 'other' holds"):
        explained(classifier, {"image": x, "other": x}, reads=Columns())
