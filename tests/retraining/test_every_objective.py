"""Maps of every objective go where a t-SNE goes: interventions, callbacks, experiments, what they store."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_pli as kp
from keras_pli.embedding.objectives import ContrastiveObjective
from keras_pli.identity import value_identity

SMALL = {"hidden_units": (12,), "seed": 0}
MAPS = {
    "tsne": lambda **more: kp.ParametricTSNE(perplexity=[5, 15], **SMALL, **more),
    "umap": lambda **more: kp.ParametricUMAP(n_neighbors=8, **SMALL, **more),
    "contrastive": lambda **more: kp.ContrastiveEmbedding(n_neighbors=8, **SMALL, **more),
    "own objective": lambda **more: kp.ParametricEmbedding(
        ContrastiveObjective(8, spectrum=0.5), **SMALL, **more
    ),
}
SHIFT = kp.InterventionPlan([kp.Shift(1, by=(0.2, 0.1))])


def fitted(embedder, z):
    embedder.fit(z, epochs=1, steps_per_epoch=4, verbose=0)
    return embedder


def classifier_of(blobs):
    keras.utils.set_random_seed(0)
    hidden = layers.Dense(8, "relu", name="hidden")
    classifier = keras.Sequential([keras.Input((6,)), hidden, layers.Dense(3, "softmax")])
    classifier.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)  # a few steps
    classifier.fit(*blobs[0], epochs=3, batch_size=30, verbose=0)
    return classifier


# A t-SNE stands for all; before it is trained, one that has no name of its own does.
KINDS = [pytest.param(kind, marks=() if kind == "tsne" else pytest.mark.slow) for kind in MAPS]
OTHERS = [
    pytest.param(kind, marks=pytest.mark.slow if kind != "own objective" else ()) for kind in MAPS
]


@pytest.fixture(scope="module", params=KINDS)
def trained(request, blobs):
    """A classifier that tests leave as it is, and a map of its logits."""
    classifier = classifier_of(blobs)
    return classifier, fitted(MAPS[request.param](), kp.activations(classifier, blobs[0][0]))


def retrained(classifier, embedder, data, targets, callbacks=()):
    x, labels = data
    pli = kp.PLIModel(classifier, embedder)
    loss = kp.PLILoss("sparse_categorical_crossentropy", 0.5)
    pli.compile(keras.optimizers.SGD(0.003), loss, run_eagerly=True)
    y = {"label": labels, "embedding": targets}
    history = pli.fit(
        x, y, batch_size=30, epochs=2, shuffle=False, verbose=0, callbacks=list(callbacks)
    )
    return pli, history.history


def test_retraining_and_callbacks(trained, blobs, tmp_path):
    classifier, embedder = trained
    x, labels = blobs[0]
    weights, start = classifier.get_weights(), embedder.get_weights()
    before = embedder.predict(kp.activations(classifier, x), verbose=0)
    targets, moved = SHIFT.apply(before, labels)
    snapshots = kp.callbacks.EmbeddingSnapshots(tmp_path, pictures=False)
    watch = [kp.callbacks.EmbeddingResponse(), snapshots]
    try:
        pli, history = retrained(classifier, embedder, blobs[0], targets, watch)
        after = embedder.predict(kp.activations(classifier, x), verbose=0)
    finally:
        classifier.set_weights(weights)
    scale = np.sum(np.var(before, axis=0)) / 3  # the spread of this map, for three classes
    assert pli.loss_function.scale == pytest.approx(scale, rel=1e-3)
    assert history["embedding_loss"][1] < history["embedding_loss"][0] < 5
    assert all(map(np.array_equal, embedder.get_weights(), start))
    expected = kp.embedding_response(before, targets, moved, after, labels)
    for name in ("achieved", "missed", "drift", "separation"):
        assert history[name][-1] == pytest.approx(expected[name], rel=1e-3, abs=1e-4)
    for number, place in ((0, before), (2, after)):
        with np.load(tmp_path / f"epoch-{number:03d}.npz") as stored:
            np.testing.assert_allclose(stored["embedding"], place, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_suggestion_and_experiment(trained, blobs, untraced, tmp_path):
    """A map, and the same one read from its file, belong to one stored experiment."""
    classifier, embedder = trained
    train, test = blobs
    y = embedder.predict(kp.activations(classifier, train[0]), verbose=0)
    plan = kp.suggest(classifier.predict(train[0], verbose=0), train[1], y, pairs=1)
    assert len(plan) == 1
    targets, moved = plan.apply(y, train[1])
    calls = []
    about = {"epochs": 1, "batch_size": 45, "seeds": [3], "out": tmp_path / "run", "verbose": 0}

    def on_trained(*told):
        calls.append(told)

    def run(embedder):
        with untraced():
            return kp.pli_experiment(
                classifier, train, test, plan, embedder=embedder, on_trained=on_trained, **about
            )

    found = run(embedder).runs[0]
    assert len(calls) == 2
    np.testing.assert_allclose(found.train_map, y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.train_targets, targets, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.train_moved, moved)
    held_out = embedder.predict(kp.activations(classifier, test[0]), verbose=0)
    np.testing.assert_allclose(found.test_maps["baseline"], held_out, rtol=1e-4, atol=1e-4)
    embedder.save(tmp_path / "map.keras")
    run(keras.saving.load_model(tmp_path / "map.keras"))
    assert len(calls) == 2  # it was there
    other = keras.saving.load_model(tmp_path / "map.keras")
    other.network.layers[-1].bias.assign_add([0.1, 0.0])
    with pytest.raises(ValueError, match=r"differs in embedder\.weights"):
        run(other)


@pytest.mark.slow
def test_an_experiment_trains_a_map_for_each_seed(blobs):
    made = []

    def embed(z, seed):
        made.append(fitted(kp.ParametricUMAP(n_neighbors=8, hidden_units=(12,), seed=seed + 1), z))
        return made[-1]

    result = kp.pli_experiment(
        classifier_of(blobs), *blobs, SHIFT, embedder=embed, epochs=1, seeds=[0, 4], verbose=0
    )
    assert [embedder.seed for embedder in made] == [1, 5]
    maps = [run.train_map for run in result.runs]
    assert not np.allclose(*maps, atol=0.1)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_map_that_was_not_trained_is_refused(kind, blobs, tmp_path):
    classifier = classifier_of(blobs)
    fresh, built = MAPS[kind](), MAPS[kind]()
    built.build((None, 3))
    name = type(fresh).__name__
    out = tmp_path / "run"
    for embedder in (fresh, built):
        for use in (
            lambda embedder=embedder: kp.PLIModel(classifier, embedder),
            lambda embedder=embedder: kp.pli_experiment(
                classifier, *blobs, SHIFT, embedder=embedder, seeds=1, out=out, verbose=0
            ),
            lambda embedder=embedder: kp.pli_experiment(
                classifier, *blobs, SHIFT, embedder=lambda z, seed: embedder, seeds=1, verbose=0
            ),
            lambda embedder=embedder: kp.export(classifier, out, embedder=embedder),
        ):
            with pytest.raises(
                ValueError, match=f"embedder, a {name}, has not been trained.*`fit`"
            ):
                use()
    assert not out.exists()


@pytest.mark.slow
def test_a_function_that_returns_no_map(blobs):
    def history(z, seed):
        return keras.callbacks.History()  # as `fit` returns

    with pytest.raises(TypeError, match=r"`embedder` must be a Keras model.*returned: History"):
        kp.pli_experiment(classifier_of(blobs), *blobs, SHIFT, embedder=history, seeds=1, verbose=0)


DIFFERENT = {
    "tsne": lambda: kp.ParametricTSNE(perplexity=8, **SMALL),
    "another perplexity": lambda: kp.ParametricTSNE(perplexity=9, **SMALL),
    "several perplexities": lambda: kp.ParametricTSNE(perplexity=[8, 9], **SMALL),
    "umap": lambda: kp.ParametricUMAP(n_neighbors=8, **SMALL),
    "cosine": lambda: kp.ParametricUMAP(n_neighbors=8, metric="cosine", **SMALL),
    "another distance": lambda: kp.ParametricUMAP(n_neighbors=8, min_dist=0.2, **SMALL),
    "contrastive": lambda: kp.ContrastiveEmbedding(n_neighbors=8, **SMALL),
    "another spectrum": lambda: kp.ContrastiveEmbedding(n_neighbors=8, spectrum=0.5, **SMALL),
    "own objective": lambda: MAPS["own objective"](),
    "own objective's spectrum": lambda: kp.ParametricEmbedding(
        ContrastiveObjective(8, spectrum=0.6), **SMALL
    ),
}


@pytest.mark.slow
def test_maps_of_other_settings_are_told_apart():
    """Whatever decided about a map tells it from others, be their weights the same."""
    told, weights = {}, None
    for name, make in DIFFERENT.items():
        made = [make(), make()]
        for embedder in made:
            embedder.build((None, 3))
            weights = embedder.get_weights() if weights is None else weights
            embedder.set_weights(weights)
        told[name], again = map(str, map(value_identity, made))
        assert told[name] == again
    assert len(set(told.values())) == len(DIFFERENT)


@pytest.mark.slow
def test_use_of_a_map_leaves_its_identity(blobs):
    """The count of its steps is among its weights: only training may change it."""
    z = blobs[0][0]
    embedder = fitted(MAPS["umap"](), z)
    before = value_identity(embedder)
    embedder.predict(z, verbose=0)
    embedder.evaluate(z, verbose=0)
    embedder.compile("sgd")
    assert value_identity(embedder) == before
    fitted(embedder, z)
    assert value_identity(embedder) != before
