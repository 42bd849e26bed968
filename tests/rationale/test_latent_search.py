import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.rationale.search.latent_search import LatentSearch, bisected

RNG = np.random.default_rng(0)
GOALS = RNG.normal(size=(6, 3)).astype("float32")
START = GOALS + np.array([[0.02], [3.0], [0.5], [0.0], [1.5], [8.0]], "float32")


def towards(codes, goals, steps=None):
    """Downhill to the goals, in units that differ from axis to axis."""
    away = tf.norm(codes - goals, axis=1)
    return tf.constant([1.0, 10.0, 0.1]) * (codes - goals), away, away < 0.05


@pytest.mark.parametrize("compact", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_follows_keras_adam(compact):
    steps = 60
    found = LatentSearch(steps, 0.1, compact=compact).run(
        lambda z, g, _: (*towards(z, g)[:2], tf.zeros(6, tf.bool)[: len(z)]), START, GOALS
    )
    variable = keras.Variable(START)
    adam = keras.optimizers.Adam(0.1, epsilon=1e-8)
    for _ in range(steps):
        adam.apply([towards(variable.value, GOALS)[0]], [variable])
    np.testing.assert_allclose(found.codes, variable.numpy(), atol=2e-5)
    assert found.steps.numpy().tolist() == [steps] * 6


@pytest.mark.parametrize("compact", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_arrived_samples_do_not_change_by_a_bit(compact):
    long = LatentSearch(400, compact=compact).run(towards, START, GOALS)
    assert long.arrived.numpy().all() and len(set(long.steps.numpy())) >= 5
    assert long.steps.numpy()[3] == 0 and (long.codes.numpy()[3] == START[3]).all()
    for limit in (0, 5, 30, 60):
        short = LatentSearch(limit, compact=compact).run(towards, START, GOALS)
        there = short.arrived.numpy()
        assert there.tolist() == (long.steps.numpy() <= limit).tolist()
        for name in ("codes", "moments", "steps", "best", "cost"):
            early, late = (np.asarray(getattr(state, name)) for state in (short, long))
            if name == "moments":
                assert (early[:, there] == late[:, there]).all()
                continue
            assert (early[there] == late[there]).all(), name
            if name == "codes" and limit < 60:
                assert (early[~there] != late[~there]).any(axis=1).all()


@pytest.mark.slow
def test_each_sample_stops_when_it_would_alone():
    search = LatentSearch(400)
    run = tf.function(lambda codes, goals: search.run(towards, codes, goals))
    together = run(START, GOALS)
    for row in range(6):
        alone = run(START[row : row + 1], GOALS[row : row + 1])
        np.testing.assert_allclose(alone.codes[0], together.codes[row], atol=1e-6)
        assert alone.steps[0] == together.steps[row]


@pytest.mark.slow
def test_eager_graph_and_xla_agree():
    results = [LatentSearch(400).run(towards, START, GOALS)]
    for jit, compact in ((False, True), (False, False), (True, False)):
        search = LatentSearch(400, compact=compact)
        compiled = tf.function(lambda z, g, s=search: s.run(towards, z, g), jit_compile=jit)
        results.append(compiled(START, GOALS))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_allclose(
                np.asarray(one, "float32"), np.asarray(two, "float32"), rtol=1e-4, atol=1e-5
            )


def test_limit_and_best_place():
    found = LatentSearch(20).run(towards, START, GOALS)
    assert found.steps.numpy()[5] == 20 and not found.arrived.numpy()[5]
    np.testing.assert_allclose(found.cost, np.linalg.norm(found.best - GOALS, axis=1), rtol=1e-5)

    def oscillating(codes, goals, steps):
        slopes, away, _ = towards(codes, goals)
        return slopes, away, tf.zeros_like(away, tf.bool)

    wild = LatentSearch(50, learning_rate=5.0).run(oscillating, START, GOALS)
    ends = np.linalg.norm(wild.codes - GOALS, axis=1)
    assert (wild.cost.numpy() <= ends + 1e-6).all() and (wild.cost.numpy() < ends - 0.01).any()


@pytest.mark.slow
def test_a_sample_without_finite_gradient_is_left_where_it_was():
    def broken(codes, goals, steps):
        slopes, away, arrived = towards(codes, goals)
        bad = (codes[:, :1] < goals[:, :1] + 2.0) & (goals[:, :1] == GOALS[1, 0])
        return tf.where(bad, float("nan"), slopes), away, arrived

    found, sound = (
        tf.function(lambda codes, goals, slope=slope: LatentSearch(400).run(slope, codes, goals))(
            START, GOALS
        )
        for slope in (broken, towards)
    )
    rest = [0, 2, 3, 4, 5]
    assert np.isfinite(found.codes.numpy()).all()
    assert not found.arrived.numpy()[1] and 0 < found.steps.numpy()[1] < 400
    np.testing.assert_array_equal(found.codes.numpy()[rest], sound.codes.numpy()[rest])


def test_bisection_finds_what_a_fine_scan_finds():
    near, far = RNG.normal(size=(2, 9, 4)).astype("float32")
    middle = RNG.uniform(0.05, 0.95, size=9)
    normal = far - near
    level = (normal * (near + middle[:, None] * normal)).sum(axis=1).astype("float32")

    def reached(codes):
        return tf.reduce_sum(codes * normal, axis=1) >= level

    found = bisected(reached, tf.constant(near), tf.constant(far))
    assert reached(found).numpy().all()
    shares = np.linspace(0, 1, 4097)
    passed = ((near + shares[:, None, None] * normal) * normal).sum(axis=2) >= level
    scanned = shares[passed.argmax(axis=0)]
    share = ((found - near) * normal).numpy().sum(axis=1) / (normal**2).sum(axis=1)
    np.testing.assert_allclose(share, scanned, atol=1.5 / 4096)


def test_bisection_at_the_ends():
    near, far = tf.zeros((2, 3)), tf.ones((2, 3))
    always = bisected(lambda z: tf.ones(2, tf.bool), near, far)
    never = bisected(lambda z: tf.zeros(2, tf.bool), near, far)
    assert (always.numpy() == 0).all() and (never.numpy() == 1).all()
