"""Maps and decoders train on replicas and workers as on one replica."""

import re

import numpy as np
import pytest
from keras import ops
from trainings import assert_alike, cases
from trainings_of_embedding import FIT, POINTS, SMALL

from keras_pli.embedding import ContrastiveEmbedding
from keras_pli.embedding.batches import Draws

SPREAD = ("mirrored", 0, 1)
REFUSALS = {
    "outside": "must be made, or loaded, in its scope",
    "together": "several steps in one execution.*steps_per_execution=2, and 2 replicas",
    "few": "at least 2 points for each of the 2 replicas. Received a batch of 3",
}


@pytest.mark.parametrize(
    ("training", "kind"),
    cases("embedding", ["tsne", "decoder", "edges", "umap"], SPREAD),
)
def test_as_one_replica_does(trained, training, kind):
    assert_alike(*(trained(each, f"embedding.{training}") for each in (kind, "one")))


@pytest.mark.parametrize(("training", "kind"), cases("embedding", ["straight"], SPREAD))
def test_by_adam_as_one_replica_does(trained, training, kind):
    """Adam takes steps of full length where a gradient is little more than rounding."""
    found, expected = (trained(each, f"embedding.{training}") for each in (kind, "one"))
    assert found["step"] == expected["step"]
    scale = np.abs(expected["map"]).max()
    np.testing.assert_allclose(found["map"], expected["map"], rtol=0, atol=1e-4 * scale)


@pytest.mark.slow
def test_what_is_compared_has_moved(trained):
    found = trained("one", "embedding.tsne")
    assert len(np.unique(found["losses"][:, 1])) == len(found["losses"])
    assert np.abs(found["refitted"] - found["weights"]).max() > 1e-3
    assert 0 < found["drift"].max() < 10


@pytest.mark.slow
def test_decoders_have_learned(trained):
    errors = trained("one", "embedding.decoder")["errors"]
    assert (errors[:, 1] < errors[:, 0]).all()


def mean_of_parts():
    """The losses and weights of gradient descent on the mean of two replicas' objectives, part by part."""
    import tensorflow as tf

    model = ContrastiveEmbedding(n_neighbors=6, **SMALL)
    model.build((None, POINTS.shape[1]))
    model.projection.adapt(POINTS, seed=0)
    tables = model._tables(POINTS, None, FIT["batch_size"], 0)
    model._start(POINTS, tables, model.fit_defaults.over(), 3, 0)
    steps, size = FIT["epochs"] * FIT["steps_per_epoch"], FIT["batch_size"] // 2
    draws = Draws.of(tables, size, 2 * steps, model._random("training"))
    anchors, levels = np.asarray(draws.anchors), np.asarray(draws.levels)
    jitter, losses = model._jitter(tables), []
    for step in range(steps):
        with tf.GradientTape() as tape:
            costs = []
            for row in (2 * step, 2 * step + 1):
                points = tables.draw(anchors[row], levels[row])
                shown = ops.take(tables.z, points, axis=0)
                shown = shown + jitter.of(np.arange(len(points), dtype=np.int32), row)
                early = float(step < steps // 4)
                costs.append(model.objective.cost(model.network(shown), points, tables, early)[0])
            loss = sum(costs) / 2
        weights = model.network.trainable_variables
        for weight, slope in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign(weight - 0.01 * slope)
        losses.append(float(loss))
    return np.array(losses), np.concatenate([np.ravel(weight) for weight in weights])


@pytest.mark.parametrize(("training", "kind"), cases("embedding", ["contrastive"], SPREAD))
def test_mean_over_replicas(trained, training, kind):
    losses, weights = mean_of_parts()
    found = trained(kind, f"embedding.{training}")
    seen = found["losses"][:, 1]
    starts = np.arange(len(seen)) // FIT["steps_per_epoch"] * FIT["steps_per_epoch"]
    running = [np.mean(losses[start : step + 1]) for step, start in enumerate(starts)]
    np.testing.assert_allclose(seen, running, rtol=1e-5)
    np.testing.assert_allclose(found["weights"], weights, atol=1e-5)


@pytest.mark.slow
def test_resumed_and_loaded(trained):
    found = trained("mirrored", "embedding.resumed")
    straight = trained("mirrored", "embedding.straight")
    assert found["step"] == straight["step"] == FIT["epochs"] * FIT["steps_per_epoch"]
    assert np.array_equal(found["map"], straight["map"])
    np.testing.assert_allclose(found["elsewhere"], found["map"], atol=1e-6)
    assert np.abs(found["again"] - found["map"]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSALS)
def test_refused(trained, name):
    said = str(trained("mirrored", "embedding.refused")[name])
    assert re.search(REFUSALS[name], said)


@pytest.mark.slow
@pytest.mark.parametrize("kind", (0, 1))
def test_workers_need_a_seed(trained, kind):
    said = str(trained(kind, "embedding.refused")["unseeded"])
    assert "give `seed` a number. Received: seed=None, and 2 workers" in said
