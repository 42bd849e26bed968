import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from scipy.spatial.transform import Rotation
from slow_cases import all_but

from keras_pli.volume import (
    RandomVolumeAffine,
    RandomVolumeFlip,
    RandomVolumeIntensity,
    RandomVolumeRotation,
    RandomVolumeZoom,
)
from keras_pli.volume.training.augmentation import _rotations, resample

SHAPE = (9, 8, 7)
LAYERS = {
    "affine": (
        RandomVolumeAffine,
        {"degrees": (5, 10, 0), "factor": 0.1, "shift": 1.0, "rate": 0.9},
    ),
    "rotation": (RandomVolumeRotation, {"degrees": 12.0}),
    "zoom": (RandomVolumeZoom, {"factor": 0.2}),
    "flip": (RandomVolumeFlip, {"axes": (0, 2)}),
    "intensity": (RandomVolumeIntensity, {"scale": 0.2, "noise": 0.1}),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def made(name, **options):
    kind, own = LAYERS[name]
    return kind(**own, **{"seed": 3, **options})


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(3, *SHAPE, 2)).astype("float32")


def reference(volume, matrix, shift, fill=0.0):
    """One channel, by SciPy."""
    middle = (np.array(volume.shape) - 1) / 2
    return ndimage.affine_transform(
        volume.astype("float64"),
        matrix,
        middle - matrix @ middle - shift,
        order=1,
        mode="grid-constant",
        cval=fill,
    )


@pytest.mark.parametrize("fill", [0.0, 2.5])
def test_resampling_is_scipys_for_each_sample_and_channel(x, fill):
    random = np.random.default_rng(1)
    matrices = np.eye(3) + random.normal(size=(3, 3, 3)) * 0.3
    shifts = random.normal(size=(3, 3)) * 2
    found = resample(x, matrices.astype("float32"), shifts.astype("float32"), fill=fill)
    for i in range(3):
        for channel in range(2):
            wanted = reference(x[i, ..., channel], matrices[i], shifts[i], fill)
            np.testing.assert_allclose(found[i, ..., channel], wanted, atol=2e-5)


def test_the_identity_is_exact_and_far_outside_is_fill(x):
    eyes = np.tile(np.eye(3, dtype="float32"), (3, 1, 1))
    np.testing.assert_array_equal(resample(x, eyes, np.zeros((3, 3), "float32")), x)
    far = resample(x, eyes, np.full((3, 3), 1e9, "float32"), fill=0.5)
    np.testing.assert_array_equal(far, np.full_like(x, 0.5))


def test_rotations_are_scipys():
    angles = np.random.default_rng(2).normal(size=(4, 3)).astype("float32")
    wanted = Rotation.from_euler("xyz", angles).as_matrix()
    np.testing.assert_allclose(_rotations(angles), wanted, atol=1e-6)


def test_a_layer_turns_by_the_angles_it_drew(x, monkeypatch):
    layer = RandomVolumeAffine(degrees=20, factor=0.2, shift=1.5, seed=0)
    drawn = []

    def spy(volumes, shape, least, most, draw=layer.drawn):
        drawn.append(np.asarray(draw(volumes, shape, least, most)))
        return drawn[-1]

    monkeypatch.setattr(layer, "drawn", spy)
    found = layer(x, training=True)
    angles, zooms, shifts = drawn
    assert (abs(angles) <= 1).all() and (abs(zooms - 1) <= 0.2).all() and (abs(shifts) <= 1.5).all()
    for i in range(3):
        turn = Rotation.from_euler("xyz", angles[i] * np.deg2rad(20)).as_matrix()
        wanted = reference(x[i, ..., 0], turn.T / zooms[i].item(), shifts[i])
        np.testing.assert_allclose(found[i, ..., 0], wanted, atol=2e-5)


def test_a_rate_leaves_the_other_samples_exactly_as_they_are(x):
    same = np.repeat(x[:1], 200, axis=0)
    layer = RandomVolumeAffine(degrees=20, shift=1.0, rate=0.3, seed=0)
    found = np.asarray(layer(same, training=True))
    changed = (found != same).any(axis=(1, 2, 3, 4))
    assert 0.2 < changed.mean() < 0.4
    np.testing.assert_array_equal(RandomVolumeZoom(0.2, rate=0.0, seed=0)(x, training=True), x)


def test_a_larger_zoom_makes_things_larger():
    cube = np.zeros((40, 16, 16, 16, 1), "float32")
    cube[:, 5:11, 5:11, 5:11] = 1
    sums = np.sum(RandomVolumeZoom(0.3, seed=0)(cube, training=True), axis=(1, 2, 3, 4))
    # Each is a draw of 216 · zoom³.
    zooms = np.cbrt(sums / 216)
    assert zooms.min() < 0.8 and zooms.max() > 1.2
    assert zooms.min() > 0.65 and zooms.max() < 1.35


@every_layer
def test_inactive_layers_are_the_identity(x, name):
    layer = made(name)
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer(x, training=False), x)


@pytest.mark.parametrize("name", all_but("rotation", "zoom", of=LAYERS))  # which are affine too
def test_samples_get_their_own_change_and_a_seed_the_same_ones(x, name):
    same = np.repeat(x[:1], 24, axis=0)
    found = np.asarray(made(name)(same, training=True))
    assert len({sample.tobytes() for sample in found}) > (3 if name == "flip" else 20)
    np.testing.assert_array_equal(made(name)(same, training=True), found)
    layer = made(name)
    layer(same, training=True)
    assert not np.array_equal(layer(same, training=True), found)
    assert not np.array_equal(made(name, seed=4)(same, training=True), found)


@every_layer
def test_a_stored_layer_does_what_the_first_did(x, name, tmp_path):
    model = keras.Sequential([keras.Input((*SHAPE, 2)), made(name)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == model.layers[0].get_config()
    for training in (False, True):
        np.testing.assert_array_equal(loaded(x, training=training), model(x, training=training))


@every_layer
def test_gradients_are_those_of_finite_differences(x, name):
    direction = np.random.default_rng(5).normal(size=x.shape).astype("float32")
    start = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(start)
        found = made(name)(start, training=True)
        value = tf.reduce_sum(found * tf.sin(tf.range(tf.size(found), dtype="float32") + 1.0)[0])
    slope = float(tf.reduce_sum(tape.gradient(value, start) * direction))
    sums = [
        float(np.sum(np.asarray(made(name)(x + step * direction, training=True), "float64")))
        for step in (-0.5, 0.5)
    ]
    assert abs(slope / np.sin(1.0) - (sums[1] - sums[0])) < 2e-3 * max(1, abs(slope))


def test_zero_behind_a_brain_stays_zero(x):
    brain = np.zeros_like(x)
    brain[:, 2:7, 2:6, 2:5] = 3.0 + x[:, 2:7, 2:6, 2:5]
    found = RandomVolumeIntensity(scale=0.3, shift=0.5, noise=0.2, seed=0)(brain, training=True)
    np.testing.assert_array_equal(np.asarray(found)[brain == 0], 0)
    assert (np.asarray(found)[brain != 0] != brain[brain != 0]).mean() > 0.99
    every = RandomVolumeIntensity(shift=0.5, keep=None, seed=0)(brain, training=True)
    assert (np.asarray(every)[brain == 0] != 0).all()


def test_flips_are_numpys(x):
    found = np.asarray(RandomVolumeFlip((1,), seed=0)(np.repeat(x, 20, axis=0), training=True))
    mirrored = 0
    for i, sample in enumerate(found):
        original = x[i // 20]
        flipped = np.array_equal(sample, original[:, ::-1])
        assert flipped or np.array_equal(sample, original)
        mirrored += flipped
    assert 15 < mirrored < 45


def test_half_precision_places_voxels_as_single_precision_does(x):
    layer = RandomVolumeAffine(degrees=10, factor=0.1, seed=0, dtype="mixed_float16")
    found = layer(x, training=True)
    assert found.dtype == "float16"
    wanted = RandomVolumeAffine(degrees=10, factor=0.1, seed=0)(x, training=True)
    np.testing.assert_allclose(np.asarray(found, "float32"), wanted, atol=5e-3)


@pytest.mark.slow
def test_compiled_by_xla_it_resamples_alike(x):
    random = np.random.default_rng(6)
    matrices = (np.eye(3) + random.normal(size=(3, 3, 3)) * 0.2).astype("float32")
    shifts = random.normal(size=(3, 3)).astype("float32")
    compiled = tf.function(resample, jit_compile=True)
    np.testing.assert_allclose(
        compiled(x, matrices, shifts), resample(x, matrices, shifts), atol=1e-5
    )


@pytest.mark.slow
def test_in_a_dataset_and_in_fit(x):
    layers = [made("affine"), made("intensity")]

    def change(batch):
        for layer in layers:
            batch = layer(batch, training=True)
        return batch

    data = tf.data.Dataset.from_tensor_slices(x).repeat(2).batch(4).map(change)
    batches = list(data)
    assert [tuple(batch.shape) for batch in batches] == [(4, *SHAPE, 2), (2, *SHAPE, 2)]
    assert not np.array_equal(batches[0][0], batches[0][3])  # one sample, drawn again
    model = keras.Sequential([keras.Input((*SHAPE, 2)), *layers, keras.layers.Flatten()])
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse", jit_compile=False)
    assert np.isfinite(model.fit(x, np.zeros(3), verbose=0).history["loss"][0])
    before = model.predict(x, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: RandomVolumeRotation((1, 2)), r"one angle or three. Received: \(1, 2\)"),
        (lambda: RandomVolumeRotation(-1), "`degrees` must be a number from 0"),
        (lambda: RandomVolumeZoom(1.0), "`factor` must be a number from 0 and less than 1"),
        (lambda: RandomVolumeZoom(0.1, rate=1.1), "`rate` must be a number from 0"),
        (lambda: RandomVolumeFlip((3,)), "`axes` must be a whole number from 0"),
        (lambda: RandomVolumeIntensity(noise=-1), "`noise` must be"),
        (lambda: RandomVolumeFlip()(np.ones((2, 3, 3, 1))), r"Received shape \(2, 3, 3, 1\)"),
    ],
)
def test_bad_arguments(make, match):
    with pytest.raises(ValueError, match=match):
        make()
