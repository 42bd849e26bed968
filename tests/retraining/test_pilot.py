import contextlib
import random

import keras
import numpy as np
import pytest
from keras import layers, ops
from slow_cases import slow

from keras_pli import activations
from keras_pli.intervention import InterventionPlan, Shift
from keras_pli.retraining import PLILoss, PLIModel, embedding_response

LOSS = "sparse_categorical_crossentropy"
ROWS = np.arange(300)[:, None]


def everything(pli):
    """All that a pilot could leave behind: weights, random states, an optimizer's state."""
    variables = [*pli.classifier.variables, *pli.embedder.variables, *pli.optimizer.variables]
    values = [ops.convert_to_numpy(variable.value).copy() for variable in variables]
    legacy = np.random.get_state()[1].tolist()  # noqa: NPY002
    return values, legacy, random.getstate()


def same(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some[0], others[0], strict=True)) and (
        some[1:] == others[1:]
    )


class Noting:
    """A model whose trials are kept, and whose pilot may run in a context and be of another length."""

    def __init__(self, pli, context=contextlib.nullcontext, **length):
        self.pli, self.context, self.length, self.found = pli, context, length, []

    def pilot(self, *args, **kwargs):
        with self.context():
            self.found.append(self.pli.pilot(*args, **kwargs, **self.length))
        return self.found[-1]

    def layer_reach(self, *args, **kwargs):
        self.found.append(self.pli.layer_reach(*args, **kwargs))
        return self.found[-1]


@pytest.fixture(scope="module")
def asked(digits, trained_digits, digits_embedder):
    """A model, and what it is asked."""
    (x, labels), _ = digits
    pli = PLIModel(trained_digits, digits_embedder)
    pli.compile(keras.optimizers.SGD(0.1, momentum=0.9), PLILoss(LOSS, 0.5, scale=0.5))
    pli.optimizer.build(pli.trainable_variables)
    y = digits_embedder.predict(activations(trained_digits, x), verbose=0)
    plan = InterventionPlan([Shift(3, by=(1.0, 0.5)), Shift([0, 1, 2, 3], by=(-1.0, 0.0))])
    return pli, (x, labels, y, plan)


@pytest.fixture(scope="module", params=["short", slow("whole")])
def tried(request, asked, untraced):
    """What was asked of a model, what its pilot found, and whether all was as before."""
    pli, (x, labels, y, plan) = asked
    before = everything(pli)
    noting = Noting(pli) if request.param == "whole" else Noting(pli, untraced, steps=16)
    check = plan.check(y, labels, model=noting, x=x, samples=100)
    unchanged = same(before, everything(pli))
    return asked[1], check, noting.found, unchanged


def test_the_caller_finds_everything_as_it_was(tried):
    assert tried[3]


@pytest.mark.parametrize("tried", [slow("whole")], indirect=True)
def test_the_plan_is_followed_in_part_and_the_layer_goes_farther(tried):
    check = tried[1]
    shifted, points = check.moves
    assert 0.1 < shifted.pilot_share < 1.1
    assert shifted.layer_share > 0.5 and shifted.layer_kept > 0.5
    assert shifted.classes == (3,) and points.points == 4
    assert check.seconds > 0 and np.isfinite(check.pilot_f1)


def test_figures_are_of_samples_left_out(tried):
    (_, labels, y, plan), check, (layer, pilot), _ = tried
    targets, moved = plan.apply(y, labels)
    assert np.allclose(pilot.before, y[pilot.rows], atol=1e-4)
    assert np.array_equal(pilot.targets, targets[pilot.rows])
    # Of 300 samples 100 are trained on, and of the others 100 measured; what is moved besides comes last.
    assert pilot.scored == 100 and len(set(pilot.rows.tolist())) == len(pilot.rows) <= 200
    assert moved[pilot.rows[100:]].all()
    left_out = np.flatnonzero(moved[pilot.rows])
    achieved = embedding_response(pilot.before, pilot.targets, moved[pilot.rows], pilot.after)
    assert len(left_out) and check.pilot_share == pytest.approx(achieved["achieved"], abs=1e-6)
    scored = labels[pilot.rows[:100]]
    assert pilot.outputs.shape == (4, len(pilot.rows), 10)
    means = []
    for looks in (pilot.outputs, pilot.control_outputs):
        assert np.allclose(looks.sum(axis=2), 1, atol=1e-5)
        found = [(p[:100][scored == 3, 3].sum(), p[:100, 3].sum()) for p in looks]
        means.append(np.mean([2 * both / ((scored == 3).sum() + all) for both, all in found]))
    with_plan, without = means
    assert check.moves[0].pilot_f1 == pytest.approx(0.6 * (with_plan - without))
    assert np.isnan(pilot.share(np.zeros(300, bool))) and np.isnan(pilot.f1_change([11]))
    assert moved[layer.rows].all() and np.allclose(layer.before, y[layer.rows], atol=1e-4)


@pytest.mark.slow
def test_the_weights_come_back_where_training_fails(asked):
    pli, (x, labels, y, _) = asked
    before = everything(pli)
    wild = PLIModel(pli.classifier, pli.embedder)
    wild.compile(keras.optimizers.SGD(1e30), PLILoss(LOSS, 0.5))
    with pytest.raises(ValueError, match="The pilot with λ = 0 diverged"):
        wild.pilot(x, labels, y, y + 1, samples=50, steps=4)
    assert same(before, everything(pli))


@pytest.mark.slow
def test_a_callback_watches_it_and_ends_it_by_raising(asked):
    class ThirdStep(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == 3:
                raise RuntimeError("stopped by hand")

    pli, (x, labels, y, _) = asked
    before, watching = everything(pli), ThirdStep()
    with pytest.raises(RuntimeError, match="stopped by hand"):
        pli.pilot(x, labels, y, y + 1, samples=50, steps=2, callbacks=[watching])
    assert watching.steps == 3  # of the second training, with the targets
    assert same(before, everything(pli))


def test_bad_input_is_refused_before_anything_is_trained(asked):
    pli, (x, labels, y, plan) = asked

    def refused(words, model=pli, **other):
        given = {"embedding": y, "labels": labels, "x": x, **other}
        with pytest.raises(ValueError, match=words):
            plan.check(model=model, **given)

    refused("must hold the 300 samples that are on the map. Received: 299", x=x[1:])
    refused("is not the map that the model's embedder makes of `x`", embedding=y[::-1].copy())
    refused(
        "Inputs of `x` must be finite.* rows 1, 7", x=np.where(np.isin(ROWS, (1, 7)), np.nan, x)
    )
    with pytest.raises(ValueError, match="The map has 3 components, the model's embedder gives 2"):
        pli.pilot(x, labels, np.c_[y, y[:, :1]], np.c_[y, y[:, :1]] + 1)
    refused("must be classes from 0 to 9. Received also: 10. Counted from 1", labels=labels + 1)
    with pytest.raises(ValueError, match=r"integer labels.* Received dtype <U"):
        pli.pilot(x, labels.astype(str), y, y + 1)
    with pytest.raises(ValueError, match=r"at least two samples with a label\. Received: 0"):
        pli.pilot(x, np.full(300, -1), y, y + 1)


def test_models_that_cannot_be_tried(asked):
    pli, (x, labels, y, plan) = asked
    plan = InterventionPlan([Shift(3, by=(1.0, 0.5))])
    fresh = PLIModel(pli.classifier, pli.embedder)
    with pytest.raises(ValueError, match="compiled model: call `compile"):
        plan.check(y, labels, model=fresh, x=x)
    fresh.compile("sgd", PLILoss(LOSS, 0.0))
    with pytest.raises(ValueError, match=r"`embedding_weight` \(λ\) above 0.*Received: 0.0"):
        plan.check(y, labels, model=fresh, x=x)
    fresh.compile("sgd", PLILoss(LOSS, "auto"))
    with pytest.raises(ValueError, match=r"`PLIModel.find_weight` finds. Received: 'auto'"):
        plan.check(y, labels, model=fresh, x=x)
    alone = PLIModel(pli.classifier)
    alone.compile("sgd", PLILoss(LOSS, 0.5))
    with pytest.raises(ValueError, match="give PLIModel an `embedder`"):
        plan.check(y, labels, model=alone, x=x)


def test_a_layer_that_the_classifier_cannot_be_run_from_is_left_out_with_a_warning(digits):
    (x, labels), _ = digits
    image = keras.Input((64,))
    features = layers.Dense(4, name="features")(image)
    outputs = layers.Dense(10, "softmax")(layers.Concatenate()([features, image]))
    classifier = keras.Model(image, outputs)
    embedder = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    pli = PLIModel(classifier, embedder, "features")
    pli.compile("sgd", PLILoss(LOSS, 0.5))
    y = pli.predict(x, verbose=0)["embedding"]
    with pytest.warns(UserWarning, match="How far the layer lets a plan go cannot be told"):
        found = pli.layer_reach(x, labels, y, y + 1)
    assert found is None
