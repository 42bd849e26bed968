"""Activations, map positions, rationales and measures in an actor, against calls on all rows."""

import keras
import numpy as np
import pytest
from rows_of_tables import arrays_of, table_of, worker_of

import keras_pli as kp
from keras_pli import evaluation
from keras_pli.attribution import GradientTimesInput
from keras_pli.distributed.ray_data.columns import Columns
from keras_pli.distributed.ray_data.explaining import Explaining
from keras_pli.distributed.ray_data.layer_activations import Reading
from keras_pli.distributed.ray_data.map_positions import Placing
from keras_pli.distributed.ray_data.rationale_search import KEPT, Searching
from keras_pli.distributed.ray_data.scoring import FAITHFULNESS, LOCALIZATION, Measuring
from keras_pli.rationale import Reconstruction, Search

pytestmark = pytest.mark.filterwarnings("ignore:TensorFlow was at work")


@pytest.fixture(scope="module")
def x(images):
    return images[0].astype("float32") / 255


@pytest.mark.parametrize("layer", ["logits", "conv"])
def test_activations(layer, classifier, x):
    made = worker_of(classifier, Reading(layer), Columns())(table_of({"image": x}))
    wanted = kp.activations(classifier, x, layer)
    np.testing.assert_allclose(arrays_of(made, "activations"), wanted, atol=1e-6)


def test_activations_of_a_model_of_fixed_batch(x):
    inputs = keras.Input(batch_shape=(4, 8, 8, 1))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    made = worker_of(model, Reading("logits"), Columns())(table_of({"image": x[:6]}))
    wanted = np.concatenate([model(x[:4]), model(x[2:6])[2:]])
    np.testing.assert_allclose(arrays_of(made, "activations"), wanted, atol=1e-6)


def test_a_bad_row_of_activations(classifier, x):
    x = x[:4].copy()
    x[1] = np.nan
    made = worker_of(classifier, Reading("logits"), Columns(), "column")(table_of({"image": x}))
    wanted = kp.activations(classifier, x)
    wanted[1] = np.nan
    np.testing.assert_allclose(arrays_of(made, "activations"), wanted, atol=1e-6)
    with pytest.raises(TypeError, match=r"`layer` must be a layer's path\. Received: int"):
        Reading(3)


def test_map_positions(classifier, x):
    z = kp.activations(classifier, x, "conv")
    embedder = kp.ParametricTSNE(perplexity=5, seed=0)
    embedder.fit(z, epochs=2, verbose=0)
    wanted = embedder.predict(z, verbose=0)
    job = Placing(Reading("conv"))
    by_map = worker_of({"embedder": embedder}, job, Columns())(table_of({"z": z}))
    models = {"classifier": classifier, "embedder": embedder}
    by_both = worker_of(models, job, Columns())(table_of({"image": x}))
    for made in (by_map, by_both):
        np.testing.assert_allclose(arrays_of(made, "positions"), wanted, atol=1e-5)
    with pytest.raises(ValueError, match=r"a ParametricTSNE, has not been trained"):
        worker_of({"embedder": kp.ParametricTSNE()}, job, Columns())


@pytest.fixture(scope="module")
def rationale_models():
    keras.utils.set_random_seed(2)
    layers = keras.layers
    drawn = [layers.Dense(16, activation="sigmoid"), layers.Reshape((4, 4, 1))]
    return {
        "encoder": keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)]),
        "generator": keras.Sequential([keras.Input((3,)), *drawn]),
        "classifier": keras.Sequential(
            [keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")]
        ),
    }


def test_rationales(rationale_models):
    x = np.random.default_rng(0).random((6, 4, 4, 1), np.float32)
    x[2] = 0.5  # a constant image shows nothing
    # Polishing makes much of rounding, which is another in another batch.
    search, reconstruction = Search(polish=0), Reconstruction(refine=0)
    settings = {"steps": 8, "image_range": (0, 1), "search": search}
    settings["reconstruction"] = reconstruction
    job = Searching.of(None, KEPT, settings, 4)
    made = worker_of(rationale_models, job, Columns(), "column")(table_of({"image": x}))
    errors = made.column("error").to_pylist()
    assert [said is None for said in errors] == [True, True, False, True, True, True]
    good = [0, 1, 3, 4, 5]
    wanted = kp.RationaleGenerator(
        *(rationale_models[name] for name in ("generator", "encoder", "classifier")), **settings
    )(x[good])
    for name in ("images", "codes", "reconstruction_errors"):
        found = arrays_of(made, f"rationales/{name}")
        np.testing.assert_allclose(found[good], getattr(wanted, name), atol=1e-5)
        assert np.isnan(found[2]).all()
    np.testing.assert_allclose(arrays_of(made, "rationales")[good], wanted.rationales, atol=1e-5)
    for name in ("steps", "status", "verdicts", "reached", "target"):
        found = made.column(f"rationales/{name}").to_pylist()
        assert found[2] is None
        assert [found[place] for place in good] == np.asarray(getattr(wanted, name)).tolist()


def test_rationales_refuse():
    with pytest.raises(ValueError, match=r"`keep` must name attributes .*Received: \['imagez'\]"):
        Searching.of(None, ["imagez"], {}, 4)
    with pytest.raises(TypeError, match=r"RationaleGenerator takes no option 'step'"):
        Searching.of(None, KEPT, {"step": 3}, 4)
    with pytest.raises(TypeError, match=r"`target` must be .*Received: \[1, 2\]"):
        Searching.of([1, 2], KEPT, {}, 4)


SETTINGS = {
    "deletion": {"steps": 4},
    "insertion": {"steps": 4},
    "mu_fidelity": {"subsets": 8, "share": 0.3},
    "infidelity": {"draws": 6, "scaled": True},
    "max_sensitivity": {"draws": 2},
}


def test_measures(classifier, x, images):
    x, labels = x[:8], images[1][:8]
    masks = np.random.default_rng(1).random((8, 8, 8)) < 0.3
    measures = {name: SETTINGS.get(name, {}) for name in (*FAITHFULNESS, *LOCALIZATION)}
    explaining = Explaining.of("gradient_times_input", {}, target="label", batch_size=8)
    job = Measuring.of(explaining, measures, with_masks=True)
    columns = Columns("image", {"labels": "label", "masks": "mask"})
    worker = worker_of(classifier, job, columns)
    table = table_of({"image": x, "label": labels, "mask": masks})
    parts = [worker(table.slice(0, 3)), worker(table.slice(3))]
    method = GradientTimesInput(classifier)
    maps = method(x, labels)
    for name, settings in measures.items():
        if name in LOCALIZATION:
            wanted = getattr(evaluation, name)(maps, masks)
        else:
            model = method if name == "max_sensitivity" else classifier
            function = getattr(evaluation, FAITHFULNESS[name])
            wanted = function(model, x, maps, labels, **settings)
        wanted = getattr(wanted, "area", wanted)
        found = np.concatenate([arrays_of(part, name) for part in parts])
        np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=name)


def test_a_mask_that_tells_nothing(classifier, x):
    masks = np.ones((3, 8, 8), bool)
    masks[1, 0] = False
    explaining = Explaining.of("saliency", {}, target=None, batch_size=8)
    job = Measuring.of(explaining, ["iou"], with_masks=True)
    worker = worker_of(classifier, job, Columns("image", {"masks": "mask"}), "column")
    made = worker(table_of({"image": x[:3], "mask": masks}))
    assert [said is None for said in made.column("error").to_pylist()] == [False, True, False]
    assert np.isnan(arrays_of(made, "iou")).tolist() == [True, False, True]


def test_measures_refuse():
    explaining = Explaining.of("saliency", {}, target=None, batch_size=8)

    def refused(error, words, measures, with_masks=False):
        with pytest.raises(error, match=words):
            Measuring.of(explaining, measures, with_masks=with_masks)

    refused(ValueError, r"Received: 'delete'", ["delete"])
    refused(ValueError, r"`measures` must name measures, one at least", [])
    refused(ValueError, r"'iou' asks for the place .* `mask_column`", ["iou"])
    refused(ValueError, r"Masks are for 'pointing_game'", ["deletion"], with_masks=True)
    refused(TypeError, r"deletion_curve takes no option 'step'", {"deletion": {"step": 3}})
