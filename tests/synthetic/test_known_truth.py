from dataclasses import FrozenInstanceError, replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage, stats
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_pli.evaluation import localization
from keras_pli.synthetic import (
    KnownTruth,
    known_truth,
    known_truth_classifier,
    train_known_truth,
)
from keras_pli.synthetic.object_shapes import shapes

CLASSES = 3
NAMES = {
    1: ("rising", "falling", "peak"),
    2: ("bar", "plus", "saltire"),
    3: ("ball", "jack", "saltire"),
}
SIZES = {1: 128, 2: 32, 3: 16}
in_every_dimension = pytest.mark.parametrize("dimensions", [1, 2, 3], ids=["1-D", "2-D", "3-D"])

# Training takes its time, so that it is for the slow tests.
where_trained = pytest.mark.parametrize(
    "dimensions",
    [pytest.param(d, marks=pytest.mark.slow, id=f"{d}-D") for d in (1, 2, 3)],
)


@pytest.fixture(scope="module")
def data():
    """Nine hundred samples of each dimension, and the same without the deciding objects."""
    return {
        d: (
            known_truth(d, samples=900, seed=4),
            known_truth(d, samples=900, seed=4, objects=False),
        )
        for d in SIZES
    }


class Trained(dict):
    """For each dimension a trained network and the held-out samples, made when they are asked for."""

    def __missing__(self, dimensions):
        held_out = known_truth(dimensions, samples=1000, seed=1)
        self[dimensions] = train_known_truth(known_truth(dimensions), held_out), held_out
        return self[dimensions]


@pytest.fixture(scope="module")
def trained():
    return Trained()


@in_every_dimension
class TestSamples:
    def test_shapes_and_types(self, data, dimensions):
        found, _ = data[dimensions]
        spatial = (SIZES[dimensions],) * dimensions
        assert found.x.shape == (900, *spatial, 1)
        assert found.masks.shape == (900, *spatial)
        assert found.y.shape == (900,)
        assert found.x.dtype == np.float32
        assert found.masks.dtype == bool
        assert np.issubdtype(found.y.dtype, np.integer)
        assert found.class_names == NAMES[dimensions]

    def test_masks_hold_the_object_and_nothing_else(self, data, dimensions):
        found, without = data[dimensions]
        np.testing.assert_array_equal((found.x != without.x)[..., 0], found.masks)
        np.testing.assert_array_equal(found.masks, without.masks)
        np.testing.assert_array_equal(found.y, without.y)

    def test_objects_are_whole_and_of_the_classes_form(self, data, dimensions):
        # Cut out of the sample, the object is the same for all samples of a class, and for no two classes.
        found, without = data[dimensions]
        difference = (found.x - without.x)[..., 0]
        forms = set()
        for label in range(CLASSES):
            cut = [
                difference[i][ndimage.find_objects(found.masks[i].astype(int))[0]]
                for i in np.flatnonzero(found.y == label)
            ]
            for one in cut:
                np.testing.assert_allclose(one, cut[0], atol=1e-5)
            forms.add((cut[0].shape, tuple(cut[0].ravel().round(3))))
        assert len(forms) == CLASSES

    def test_objects_lie_anywhere_whatever_the_class(self, data, dimensions):
        found, _ = data[dimensions]
        centres = np.array([ndimage.center_of_mass(mask) for mask in found.masks])
        middle = (SIZES[dimensions] - 1) / 2
        for label in range(CLASSES):
            of_class, of_others = centres[found.y == label], centres[found.y != label]
            assert (abs(of_class.mean(axis=0) - middle) < SIZES[dimensions] / 16).all()
            assert (of_class.std(axis=0) > SIZES[dimensions] / 8).all()
            for axis in range(dimensions):
                assert stats.ks_2samp(of_class[:, axis], of_others[:, axis]).pvalue > 1e-3

    def test_distractors_stay_when_the_object_goes(self, data, dimensions):
        # As bright as the object, twice as many positions, and elsewhere.
        found, without = data[dimensions]
        volume = found.masks[0].sum()
        total = without.x.sum() / len(without.x)
        added = (found.x - without.x).sum() / len(found.x)
        assert added == pytest.approx(volume, rel=1e-4)
        assert total == pytest.approx(2 * volume, rel=0.1)
        assert abs(without.x[..., 0][found.masks].mean()) < 0.05

    def test_classes_are_balanced(self, data, dimensions):
        found, _ = data[dimensions]
        np.testing.assert_array_equal(np.bincount(found.y), [300] * CLASSES)
        odd = known_truth(dimensions, samples=32).y
        assert sorted(np.bincount(odd)) == [10, 11, 11]
        assert (np.diff(odd) != 1).any()

    @pytest.mark.slow
    def test_same_seed_same_samples(self, data, dimensions):
        found, _ = data[dimensions]
        again, other = (known_truth(dimensions, samples=900, seed=seed) for seed in (4, 5))
        np.testing.assert_array_equal(found.x, again.x)
        np.testing.assert_array_equal(found.y, again.y)
        assert (found.x != other.x).mean() > 0.99
        assert (found.y != other.y).any()

    @pytest.mark.parametrize("larger", [False, True])
    def test_size(self, dimensions, larger):
        size = {1: (64, 200), 2: (20, 41), 3: (14, 19)}[dimensions][larger]
        found = known_truth(dimensions, samples=50, size=size)
        assert found.x.shape == (50, *[size] * dimensions, 1)
        volumes = found.masks.reshape(50, -1).sum(axis=1)
        assert (volumes == volumes[0]).all()


@in_every_dimension
class TestNoShortcut:
    """What can be had without seeing the object's form is near chance."""

    def test_all_objects_hold_the_same_values(self, dimensions):
        forms = shapes(dimensions)
        np.testing.assert_array_equal(
            np.sort(forms.values, axis=1), np.sort(forms.values[:1].repeat(len(forms.values), 0))
        )
        for cells in forms.cells:
            assert len(np.unique(cells, axis=0)) == len(cells)
        assert forms.cells.min() >= 0
        assert forms.cells.max() < forms.extent
        assert forms.values.mean() == pytest.approx(1)

    def test_simple_statistics_do_not_tell_the_class(self, data, dimensions):
        found, _ = data[dimensions]
        flat = found.x.reshape(900, -1)
        statistics = np.column_stack(
            [
                flat.mean(axis=1),
                flat.std(axis=1),
                stats.skew(flat, axis=1),
                stats.kurtosis(flat, axis=1),
                *np.quantile(flat, [0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 1], axis=1),
            ]
        )
        for features in (statistics, statistics[:, :1], flat):
            assert self.accuracy(features, found.y) < self.limit(900)

    def test_place_does_not_tell_the_class(self, data, dimensions):
        found, _ = data[dimensions]
        centres = np.array([ndimage.center_of_mass(mask) for mask in found.masks])
        features = np.column_stack([centres, abs(centres - centres.mean(axis=0))])
        assert self.accuracy(features, found.y) < self.limit(900)

    @staticmethod
    def accuracy(features, y):
        model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=10))
        return np.mean(cross_val_predict(model, features, y, cv=3) == y)

    @staticmethod
    def limit(samples):
        return stats.binom.ppf(0.9999, samples, 1 / CLASSES) / samples


class TestClassifier:
    @where_trained
    @pytest.mark.slow
    def test_the_rest_of_the_sample_does_not_tell_the_class(self, data, dimensions, trained):
        found, without = data[dimensions]
        classifier, _ = trained[dimensions]
        with_object, without_object = (
            np.mean(classifier.predict(x, verbose=0).argmax(axis=1) == found.y)
            for x in (found.x, without.x)
        )
        assert with_object > 0.97
        assert without_object < TestNoShortcut.limit(900)

    @where_trained
    def test_reaches_99_percent(self, trained, dimensions):
        classifier, held_out = trained[dimensions]
        right = classifier.predict(held_out.x, verbose=0).argmax(axis=1) == held_out.y
        assert right.mean() >= 0.99
        # On samples that had no part in when to stop, too, within the error of counting.
        fresh = known_truth(dimensions, samples=2000, seed=77)
        right = classifier.predict(fresh.x, verbose=0).argmax(axis=1) == fresh.y
        assert right.mean() >= 0.983

    @in_every_dimension
    @pytest.mark.parametrize("head", ["gap", "dense"])
    @pytest.mark.parametrize("batch_norm", [False, True])
    def test_layers(self, dimensions, head, batch_norm):
        model = known_truth_classifier(dimensions, head=head, batch_norm=batch_norm)
        last = model.get_layer("conv_3").output.shape
        assert last[1:-1] == (SIZES[dimensions] // 4,) * dimensions
        assert min(last[1:-1]) >= 4
        kinds = [type(layer).__name__ for layer in model.layers]
        block = [f"Conv{dimensions}D", *["BatchNormalization"] * batch_norm, "ReLU"]
        pool = f"MaxPooling{dimensions}D"
        ends = {"gap": [f"GlobalAveragePooling{dimensions}D"], "dense": [pool, "Flatten"]}
        assert kinds == [*block, pool, *block, pool, *block, *ends[head], "Dense"]
        np.testing.assert_allclose(
            np.sum(model(np.ones((2, *model.input_shape[1:]))), axis=1), 1, rtol=1e-5
        )

    def test_seed_decides_the_weights_and_nothing_else_is_touched(self):
        keras.utils.set_random_seed(3)
        first = float(keras.random.uniform(()))
        keras.utils.set_random_seed(3)
        a, b, c = (known_truth_classifier(1, seed=seed).get_weights() for seed in (0, 0, 1))
        assert float(keras.random.uniform(())) == first
        assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))
        assert not any(np.array_equal(p, q) for p, q in zip(a, c, strict=True) if p.any())

    @pytest.mark.slow
    def test_training_repeats(self):
        data, held_out = known_truth(1, samples=300), known_truth(1, samples=100, seed=1)
        keras.utils.set_random_seed(3)
        first = train_known_truth(data, held_out, accuracy=0.4)
        keras.utils.set_random_seed(4)
        again = train_known_truth(data, held_out, accuracy=0.4)
        for p, q in zip(first.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_allclose(p, q, atol=1e-4)

    @pytest.mark.slow
    @in_every_dimension
    @pytest.mark.parametrize("head", ["gap", "dense"])
    @pytest.mark.parametrize("batch_norm", [False, True])
    def test_all_variants_learn(self, dimensions, head, batch_norm):
        data = known_truth(dimensions, seed=10)
        held_out = known_truth(dimensions, samples=1000, seed=11)
        train_known_truth(data, held_out, head=head, batch_norm=batch_norm, seed=2)

    @where_trained
    def test_maps_find_the_object(self, trained, dimensions):
        # Gradient × input and CAM by their definitions do better than what needs no network.
        classifier, held_out = trained[dimensions]
        x, y, masks = held_out.x[:100], held_out.y[:100], held_out.masks[:100]
        tap = keras.Model(
            classifier.inputs,
            [classifier.get_layer("relu_3").output, classifier.get_layer("gap").output],
        )
        of_class = classifier.get_layer("classes").kernel.numpy().T[y]
        inputs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            features, pooled = tap([inputs])
            score = tf.reduce_sum(pooled * of_class)
        coarse = np.einsum("s...f,sf->s...", features.numpy(), of_class)
        maps = {
            "gradient × input": tape.gradient(score, inputs).numpy() * x,
            "CAM": [
                ndimage.zoom(one, 4, order=1, grid_mode=True, mode="nearest") for one in coarse
            ],
        }
        table = localization(maps, masks, images=x, tolerance=2)  # CAM's cells are 4 pixels wide
        means = table.xs("mean", axis=1, level="statistic")
        others = means.drop(index=list(maps)).max()
        assert means.loc["CAM", "pointing_game"] > 1.5 * others["pointing_game"]
        assert (means.loc["gradient × input"] > 1.3 * others).all()

    @where_trained
    def test_logits_have_nothing_in_common(self, trained, dimensions):
        classifier, _ = trained[dimensions]
        kernel, bias = classifier.get_layer("classes").get_weights()
        np.testing.assert_allclose(kernel.sum(axis=1), 0, atol=1e-5)
        assert bias.sum() == pytest.approx(0, abs=1e-5)
        assert abs(kernel).max() > 0.1


class TestErrors:
    @pytest.mark.parametrize("dimensions", [0, 4, "2"])
    def test_dimensions(self, dimensions):
        for make in (known_truth, known_truth_classifier):
            with pytest.raises(ValueError, match=f"`dimensions`.*1, 2, 3.*{dimensions}"):
                make(dimensions)

    @pytest.mark.parametrize("samples", [0, -3])
    def test_samples(self, samples):
        with pytest.raises(ValueError, match=f"`samples`.*Received: {samples}"):
            known_truth(2, samples=samples)

    @pytest.mark.parametrize(("dimensions", "size"), [(1, 63), (2, 19), (3, 13), (2, -1)])
    def test_size(self, dimensions, size):
        with pytest.raises(ValueError, match=rf"`size`.*{dimensions}-D.*Received: {size}"):
            known_truth(dimensions, size=size)

    def test_head(self):
        with pytest.raises(ValueError, match=r"`head`.*'gap', 'dense'.*'gaps'"):
            known_truth_classifier(2, head="gaps")

    def test_sets(self):
        data = known_truth(1, samples=9)
        with pytest.raises(ValueError, match=r"\(128, 1\) and \(100, 1\)"):
            train_known_truth(data, known_truth(1, samples=9, size=100))
        with pytest.raises(ValueError, match="another `seed`"):
            train_known_truth(data, known_truth(1, samples=9))

    @pytest.mark.parametrize("accuracy", [0, 1.2, -1, np.nan])
    def test_accuracy(self, accuracy):
        data, held_out = known_truth(1, samples=9), known_truth(1, samples=9, seed=1)
        with pytest.raises(ValueError, match=f"`accuracy`.*Received: {accuracy}"):
            train_known_truth(data, held_out, accuracy=accuracy)

    def test_accuracy_not_reached(self, untraced):
        data, held_out = known_truth(1, samples=30), known_truth(1, samples=60, seed=1)
        said = r"not put 99\.0%.*best of 2 on 30 samples was [3-7]"
        with untraced(), pytest.raises(RuntimeError, match=said):
            train_known_truth(data, held_out, epochs=2)

    @pytest.mark.slow
    def test_one_epoch_may_be_luck(self):
        data, held_out = known_truth(1, samples=30), known_truth(1, samples=60, seed=1)
        with pytest.raises(RuntimeError, match="two epochs running; the best of 1 on 30"):
            train_known_truth(data, held_out, epochs=1, accuracy=0.01)
        train_known_truth(data, held_out, epochs=2, accuracy=0.01)

    def test_frozen(self):
        data = known_truth(1, samples=6)
        with pytest.raises(FrozenInstanceError):
            data.y = data.y[::-1]
        assert isinstance(replace(data, y=data.y[::-1]), KnownTruth)
