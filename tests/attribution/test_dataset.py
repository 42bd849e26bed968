"""Explaining a stream: files that add up to the whole, resumed after a kill, shared among processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cases import slow

from keras_pli.attribution import (
    LIME,
    AtPosition,
    GradientTimesInput,
    Occlusion,
    Saliency,
    Within,
)
from keras_pli.attribution.dataset import explain_dataset, load_attributions

SAMPLES = 23


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(SAMPLES, 6, 6, 1)).astype("float32")
    return x, generator.integers(0, 3, SAMPLES)


def stream(x, batch=5):
    return tf.data.Dataset.from_tensor_slices(x).batch(batch)


def explained(method, dataset, out, **options):
    return explain_dataset(method, dataset, out, verbose=0, **options)


def test_equals_one_call_on_all(model, data, tmp_path):
    x, _ = data
    method = Saliency(model, batch_size=4)
    files = explained(method, stream(x), tmp_path, samples_per_file=10)
    assert len(files) == 3
    stored = load_attributions(tmp_path)
    whole = method(x)
    np.testing.assert_array_equal(stored["index"], np.arange(SAMPLES))
    np.testing.assert_allclose(stored["attributions"], whole.attributions, atol=1e-6)
    np.testing.assert_allclose(stored["scores"], whole.scores, atol=1e-6)
    assert set(stored) == {"index", "attributions", "scores"}


@pytest.mark.parametrize("num_shards", [2, slow(3)])
def test_shares_are_disjoint_and_complete(model, data, tmp_path, num_shards):
    x, _ = data
    for index in range(num_shards):
        explained(
            Saliency(model),
            stream(x),
            tmp_path,
            num_shards=num_shards,
            shard_index=index,
            samples_per_file=4,
        )
    stored = load_attributions(tmp_path)
    np.testing.assert_array_equal(stored["index"], np.arange(SAMPLES))
    np.testing.assert_allclose(stored["attributions"], Saliency(model)(x).attributions, atol=1e-6)


def test_own_labels_are_explained(model, data, tmp_path):
    x, y = data
    explained(Saliency(model), stream((x, y)), tmp_path, target="label")
    np.testing.assert_allclose(
        load_attributions(tmp_path)["scores"], Saliency(model)(x, y).scores, atol=1e-6
    )


def test_goes_on_behind_the_last_whole_file(model, data, tmp_path):
    x, _ = data

    def interrupted():
        for index, sample in enumerate(x):
            if index == 17:
                raise KeyboardInterrupt
            yield sample

    spec = tf.TensorSpec((6, 6, 1), tf.float32)
    broken = tf.data.Dataset.from_generator(interrupted, output_signature=spec).batch(5)
    with pytest.raises((KeyboardInterrupt, tf.errors.OpError)):
        explained(Saliency(model), broken, tmp_path, samples_per_file=4)
    first = {path: path.read_bytes() for path in tmp_path.glob("part-*.npz")}
    assert 1 <= len(first) <= 4
    explained(Saliency(model), stream(x), tmp_path, samples_per_file=4)
    assert all(path.read_bytes() == content for path, content in first.items())
    np.testing.assert_array_equal(load_attributions(tmp_path)["index"], np.arange(SAMPLES))


def test_a_finished_folder_is_left_alone(model, data, tmp_path):
    x, _ = data
    files = explained(Saliency(model), stream(x), tmp_path)
    before = [path.stat().st_mtime_ns for path in files]
    assert explained(Saliency(model), stream(x), tmp_path) == files
    assert [path.stat().st_mtime_ns for path in files] == before


KILLED = """
import sys, time, numpy as np, keras, tensorflow as tf
from keras_pli.attribution import Saliency
from keras_pli.attribution.dataset import explain_dataset
model = keras.saving.load_model(sys.argv[1] + "/model.keras")
x = np.load(sys.argv[1] + "/x.npy")
def slow():
    for sample in x:
        time.sleep(0.05)
        yield sample
data = tf.data.Dataset.from_generator(slow, output_signature=tf.TensorSpec((6, 6, 1), tf.float32)).batch(2)
explain_dataset(Saliency(model), data, sys.argv[1] + "/out", samples_per_file=3, verbose=0)
"""


@pytest.mark.slow
def test_survives_a_kill(model, data, tmp_path):
    x, _ = data
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], env=dict(os.environ))
    deadline = time.monotonic() + 600
    while len(list((tmp_path / "out").glob("part-*.npz"))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "out").glob("finished-*"))
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    explained(Saliency(loaded), stream(x), tmp_path / "out", samples_per_file=3)
    stored = load_attributions(tmp_path / "out")
    np.testing.assert_array_equal(stored["index"], np.arange(SAMPLES))
    np.testing.assert_allclose(stored["attributions"], Saliency(model)(x).attributions, atol=1e-6)


class TestSamplesOnce:
    """What `load_attributions` gives is every sample once, whatever happened to the folder."""

    @pytest.fixture
    def finished(self, model, data, tmp_path):
        explained(Saliency(model), stream(data[0]), tmp_path, samples_per_file=4)
        return tmp_path

    def check(self, folder, model, data):
        stored = load_attributions(folder)
        np.testing.assert_array_equal(stored["index"], np.arange(SAMPLES))
        expected = Saliency(model)(data[0]).attributions
        np.testing.assert_allclose(stored["attributions"], expected, atol=1e-6)

    @pytest.mark.parametrize("name", [slow(None), "the data"])
    @pytest.mark.parametrize("damage", ["missing", slow("cut"), slow("empty")])
    def test_a_part_is_made_again_alone(self, model, data, tmp_path, name, damage):
        options = {"samples_per_file": 4, "data_name": name}
        files = explained(Saliency(model), stream(data[0]), tmp_path, **options)
        others = {path: path.stat().st_mtime_ns for path in files if path != files[2]}
        content = files[2].read_bytes()
        if damage == "missing":
            files[2].unlink()
            with pytest.raises(ValueError, match=r"lacks 'part-000-of-001-00002\.npz'"):
                load_attributions(tmp_path)
        else:
            files[2].write_bytes(content[:-50] if damage == "cut" else b"")
            with pytest.raises(ValueError, match=r"00002\.npz is damaged.*explain_dataset"):
                load_attributions(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            explained(Saliency(model), stream(data[0]), tmp_path, **options)
        assert {path: path.stat().st_mtime_ns for path in others} == others
        self.check(tmp_path, model, data)

    def test_copies_of_parts_do_not_count(self, model, data, finished):
        part = finished / "part-000-of-001-00001.npz"
        shutil.copy(part, finished / "part-000-of-001-00001 (copy).npz")
        self.check(finished, model, data)
        shutil.copy(part, finished / "part-000-of-001-00002.npz")
        with pytest.raises(ValueError, match="holds some samples twice"):
            load_attributions(finished)
        explained(Saliency(model), stream(data[0]), finished, samples_per_file=4)
        self.check(finished, model, data)

    @pytest.mark.slow
    def test_a_copy_in_the_place_of_a_part_is_made_again(self, model, data, tmp_path):
        options = {"samples_per_file": 4, "data_name": "the data"}
        files = explained(Saliency(model), stream(data[0]), tmp_path, **options)
        shutil.copy(files[0], files[1])
        explained(Saliency(model), stream(data[0]), tmp_path, **options)
        self.check(tmp_path, model, data)

    @pytest.mark.slow
    def test_a_damaged_mark_is_written_again(self, model, data, tmp_path):
        options = {"samples_per_file": 4, "data_name": "the data"}
        explained(Saliency(model), stream(data[0]), tmp_path, **options)
        (tmp_path / "finished-000-of-001.json").write_text("{")
        with pytest.warns(UserWarning, match="written again"):
            explained(Saliency(model), stream(data[0]), tmp_path, **options)
        self.check(tmp_path, model, data)

    @pytest.mark.slow
    def test_two_at_once(self, model, data, tmp_path):
        """Started while another writes: refused, and nothing is doubled."""
        refused = []

        def samples():
            for number, sample in enumerate(data[0]):
                if number == 9:
                    with pytest.raises(RuntimeError, match="is being written by process") as error:
                        explained(Saliency(model), stream(data[0]), tmp_path, samples_per_file=4)
                    refused.append(error)
                yield sample

        spec = tf.TensorSpec((6, 6, 1), tf.float32)
        slow = tf.data.Dataset.from_generator(samples, output_signature=spec).batch(5)
        explained(Saliency(model), slow, tmp_path, samples_per_file=4)
        assert refused
        self.check(tmp_path, model, data)

    @pytest.mark.slow
    def test_a_first_call_that_fails_claims_nothing(self, model, data, tmp_path):
        with pytest.raises(ValueError):
            explained(Saliency(model), stream(data[0]), tmp_path, target=10)
        explained(Saliency(model), stream(data[0]), tmp_path, target=1)
        assert json.loads((tmp_path / "attributions.json").read_text())["target"] == 1

    def test_other_samples_of_a_data_set_without_a_name(self, model, data, finished):
        x = data[0].copy()
        x[9] += 1
        with pytest.raises(ValueError, match=r"00002\.npz holds attributions of other samples"):
            explained(Saliency(model), stream(x), finished, samples_per_file=4)
        self.check(finished, model, data)

    @pytest.mark.slow
    def test_fewer_and_more_samples(self, model, data, finished):
        with pytest.raises(ValueError, match=r"other samples|more samples"):
            explained(Saliency(model), stream(data[0][:16]), finished, samples_per_file=4)
        more = np.concatenate([data[0], data[0]])
        with pytest.raises(ValueError, match="other samples"):  # the last part was not full
            explained(Saliency(model), stream(more), finished, samples_per_file=4)
        self.check(finished, model, data)

    @pytest.mark.slow
    def test_other_labels_where_labels_are_explained(self, model, data, tmp_path):
        x, y = data
        options = {"samples_per_file": 4, "target": "label"}
        explained(Saliency(model), stream((x, y)), tmp_path, **options)
        with pytest.raises(ValueError, match="other labels"):
            explained(Saliency(model), stream((x, (y + 1) % 3)), tmp_path, **options)

    @pytest.mark.slow
    def test_settings_that_look_alike(self, model, data, tmp_path):
        def segments(power):
            return lambda image: (np.indices(image.shape[:2]).sum(axis=0) ** power) % 3

        for out, first, other in (
            ("segments", *(LIME(model, segments=segments(p), samples=8) for p in (1, 2))),
            ("fills", *(Occlusion(model, window=3, fill=fill) for fill in (0.0, 0.1))),
        ):
            explained(first, stream(data[0]), tmp_path / out)
            with pytest.raises(ValueError, match="'settings'"):
                explained(other, stream(data[0]), tmp_path / out)

    def test_other_functions_and_large_masks_as_targets(self, tmp_path):
        model = keras.Sequential([keras.Input((64, 40, 1)), keras.layers.Conv2D(3, 1)])
        x = np.ones((2, 64, 40, 1), np.float32)
        left, right = (
            np.broadcast_to(rows, (64, 40)) for rows in np.arange(80).reshape(2, 40) < 40
        )
        middle = left.copy()
        middle[30, 20] = False  # where NumPy's text of a large array has dots
        explained(Saliency(model), stream(x), tmp_path / "mask", target=Within(1, left))
        for other in (right, middle):
            with pytest.raises(ValueError, match="'target'"):
                explained(Saliency(model), stream(x), tmp_path / "mask", target=Within(1, other))

        def weighing(weight):
            return lambda logits: weight * tf.reduce_sum(logits, axis=(1, 2, 3))

        explained(Saliency(model), stream(x), tmp_path / "lambda", target=weighing(1.0))
        with pytest.raises(ValueError, match="'target'"):
            explained(Saliency(model), stream(x), tmp_path / "lambda", target=weighing(2.0))


class TestRefusals:
    def test_another_method_model_or_sharing(self, model, data, tmp_path):
        x, _ = data
        explained(Saliency(model), stream(x), tmp_path)
        with pytest.raises(ValueError, match=r"Saliency.*GradientTimesInput"):
            explained(GradientTimesInput(model), stream(x), tmp_path)
        with pytest.raises(ValueError, match="num_shards"):
            explained(Saliency(model), stream(x), tmp_path, num_shards=2)
        weights = model.get_weights()
        model.set_weights([weight + 1 for weight in weights])
        try:
            with pytest.raises(ValueError, match="weights"):
                explained(Saliency(model), stream(x), tmp_path)
        finally:
            model.set_weights(weights)
        before = model.layers[-1].activation
        model.layers[-1].activation = keras.ops.tanh
        try:
            with pytest.raises(ValueError, match=r"otherwise: \{'architecture': "):
                explained(Saliency(model), stream(x), tmp_path)
        finally:
            model.layers[-1].activation = before

    def test_another_data_set(self, model, data, tmp_path):
        explained(Saliency(model), stream(data[0]), tmp_path, data_name="test 1")
        with pytest.raises(ValueError, match=r"'test 1'.*'test 2'"):
            explained(Saliency(model), stream(data[0]), tmp_path, data_name="test 2")

    def test_bad_arguments(self, model, data, tmp_path):
        x, _ = data
        with pytest.raises(TypeError, match="ndarray"):
            explain_dataset(Saliency(model), x, tmp_path)
        with pytest.raises(ValueError, match=r"from 0 and less than 2.*2"):
            explained(Saliency(model), stream(x), tmp_path, shard_index=2, num_shards=2)
        with pytest.raises(ValueError, match="samples_per_file"):
            explained(Saliency(model), stream(x), tmp_path, samples_per_file=0)
        with pytest.raises(ValueError, match="labels"):
            explained(Saliency(model), stream(x), tmp_path, target="label")
        with pytest.raises(ValueError, match="no attributions"):
            load_attributions(tmp_path / "nothing")


def test_several_inputs_are_stored_by_name(tmp_path):
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
    joined = keras.layers.Concatenate()(list(inputs.values()))
    model = keras.Model(inputs, keras.layers.Dense(2)(joined))
    x = {"a": np.ones((4, 3), "float32"), "b": np.ones((4, 2), "float32")}
    explained(Saliency(model), stream(x, 2), tmp_path)
    stored = load_attributions(tmp_path)
    assert stored["attributions/a"].shape == (4, 3)
    assert stored["attributions/b"].shape == (4, 2)


def test_what_the_folder_is_for_can_be_read(model, data, tmp_path):
    explained(Saliency(model, score="output"), stream(data[0]), tmp_path, target=1)
    noted = json.loads((tmp_path / "attributions.json").read_text())
    assert noted["method"] == "Saliency(score='output')"
    assert noted["target"] == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0, 1, 2, 0], "the same for all samples"),
        (np.array([0, 1]), "the same for all samples"),
        (AtPosition([0, 1], 2), "the same for all samples"),
        (AtPosition(1, [[2], [3]]), "the same for all samples"),
        (Within(1, np.ones((4, 5), bool)), r"one for all samples.*shape \(4, 5\)"),
        ("labels", "'label'.*'labels'"),
    ],
)
def test_a_target_of_each_sample_is_refused(target, message, tmp_path):
    model = keras.Sequential([keras.Input((5, 1)), keras.layers.Conv1D(3, 1)])
    dataset = tf.data.Dataset.from_tensor_slices(np.ones((8, 5, 1), np.float32)).batch(4)
    with pytest.raises(ValueError, match=message):
        explain_dataset(
            Saliency(model), dataset, tmp_path, target=target, samples_per_file=4, verbose=0
        )
