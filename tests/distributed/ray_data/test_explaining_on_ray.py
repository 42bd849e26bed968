"""Explanations by actors of a real cluster: order, deaths of actors, settings, and what is refused."""

import os
import random
import signal
import threading
import time

import keras
import numpy as np
import pytest

from keras_pli.attribution import IntegratedGradients
from keras_pli.distributed import activations, evaluate, explain, map_positions, rationales


class Killer(threading.Thread):
    """Kills actors, by the files that they leave with their process's number for a name."""

    def __init__(self, folder, times, pause):
        super().__init__(daemon=True)
        self.folder, self.times, self.pause = folder, times, pause
        self.killed, self.over = [], threading.Event()

    def run(self):
        draw = random.Random(0)
        while len(self.killed) < self.times and not self.over.is_set():
            time.sleep(draw.uniform(0, self.pause))
            there = sorted(self.folder.iterdir())
            if not there:
                continue
            chosen = draw.choice(there)
            chosen.unlink()
            try:
                os.kill(int(chosen.name), signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.killed.append(chosen.name)


def scaling(folder, seconds=0.0):
    """A function that scales images, says in which process it is at work, and takes its time."""

    def scaled(column):
        (folder / str(os.getpid())).touch()
        time.sleep(seconds)
        return column.astype("float32") / 255

    return scaled


def rows_of(ray, images, labels, blocks):
    rows = [
        {"image": image, "label": int(label), "id": f"r{place}"}
        for place, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    return ray.data.from_items(rows, override_num_blocks=blocks)


def check_equal(found, images, labels, wanted):
    assert [row["id"] for row in found] == [f"r{place}" for place in range(len(images))]
    assert [row["label"] for row in found] == list(labels)
    np.testing.assert_array_equal(np.stack([row["image"] for row in found]), images)
    for name in ("attributions", "scores", "delta"):
        stacked = np.stack([row[name] for row in found])
        np.testing.assert_allclose(stacked, getattr(wanted, name), atol=1e-6)


@pytest.mark.slow  # by default, the README's test explains on Ray
def test_two_actors_one_of_which_dies(cluster, classifier, stored, images, tmp_path):
    rows = rows_of(cluster, *images, blocks=8)
    made = explain(
        rows,
        stored,
        "integrated_gradients",
        column="image",
        target="label",
        preprocess=scaling(tmp_path, 0.2),
        batch_size=4,
        concurrency=2,
        steps=4,
    )
    assert made.context.execution_options.preserve_order
    for other in (rows.context, cluster.data.DataContext.get_current()):
        assert not other.execution_options.preserve_order
    killer = Killer(tmp_path, 1, 0.1)
    killer.start()
    found = made.take_all()
    killer.over.set()
    assert len(killer.killed) == 1
    x = images[0].astype("float32") / 255
    check_equal(found, *images, IntegratedGradients(classifier, steps=4)(x, images[1]))


@pytest.mark.slow
def test_ten_deaths_over_twenty_thousand_images(cluster, classifier, stored, tmp_path):
    draw = np.random.default_rng(3)
    images, labels = draw.integers(0, 256, (20_000, 8, 8, 1), np.uint8), draw.integers(0, 3, 20_000)
    made = explain(
        rows_of(cluster, images, labels, blocks=100),
        stored,
        "integrated_gradients",
        column="image",
        target="label",
        preprocess=scaling(tmp_path, 0.1),
        concurrency=2,
        steps=4,
    )
    killer = Killer(tmp_path, 10, 6.0)
    killer.start()
    found = made.take_all()
    killer.over.set()
    assert len(killer.killed) == 10
    x = images.astype("float32") / 255
    method = IntegratedGradients(classifier, steps=4, batch_size=500)
    check_equal(found, images, labels, method(x, labels))


@pytest.mark.slow
def test_bad_rows_and_an_empty_data_set(cluster, classifier, stored, images):
    x = images[0][:20].astype("float32") / 255
    x[7] = np.nan
    rows = rows_of(cluster, x, images[1][:20], blocks=3)
    # The log that pytest keeps holds the error, and that Ray's actor: the next ones need room beside it.
    asked = {"column": "image", "batch_size": 64, "num_cpus": 0.25}
    with pytest.raises(Exception, match=r"The row with id 'r7' cannot be used: .*NaN or infinity"):
        explain(rows, stored, "saliency", **asked).take_all()
    made = explain(rows, stored, "saliency", on_error="column", **asked).take_all()
    assert [place for place, row in enumerate(made) if row["error"] is not None] == [7]
    assert np.isnan(made[7]["attributions"]).all() and np.isnan(made[7]["scores"])
    assert not np.isnan(np.stack([row["attributions"] for row in made[:7] + made[8:]])).any()
    assert explain(rows.filter(lambda row: False), stored, "saliency", **asked).take_all() == []


@pytest.mark.slow
def test_a_batch_that_kills_every_actor_ends(cluster, stored, images, monkeypatch):
    monkeypatch.setattr("keras_pli.distributed.ray_data.actors.RETRIES", 1)

    def deadly(column):
        os.kill(os.getpid(), signal.SIGKILL)

    rows = rows_of(cluster, images[0][:4], images[1][:4], blocks=1)
    with pytest.raises(Exception, match=r"(?i)actor died|ActorDiedError|unavailable"):
        explain(rows, stored, "saliency", column="image", preprocess=deadly).take_all()


def test_what_is_refused_at_once(cluster, classifier, stored, images, tmp_path):
    rows = rows_of(cluster, images[0][:4], images[1][:4], blocks=1)

    def refused(error, words, model=stored, method="saliency", data=rows, **asked):
        with pytest.raises(error, match=words):
            explain(data, model, method, **{"column": "image", **asked})

    refused(TypeError, r"Received: Sequential\. A model itself does not travel", model=classifier)
    refused(TypeError, r"`dataset` must be a ray\.data\.Dataset\. Received: list", data=[1])
    refused(ValueError, r"There is no model '.*/none\.keras'", model=tmp_path / "none.keras")
    refused(ValueError, r"must name a Keras file.*'model\.pt'", model="model.pt")
    refused(ValueError, r"no attribution method 'salience'", method="salience")
    refused(TypeError, r"`method` must be .*Received: 3", method=3)
    refused(
        TypeError,
        r"takes no option 'stepz'.* Did you mean 'steps'",
        stepz=3,
        method="integrated_gradients",
    )
    refused(ValueError, r"`steps` must be", steps=0, method="integrated_gradients")
    refused(ValueError, r"no layer 'none'|'none'", layer="none")
    refused(TypeError, r"Saliency has no baseline", baseline=0.0)
    refused(ValueError, r"must be the same for all samples", target=[1, 2])
    refused(ValueError, r"no column 'picture'\. It has 'image', 'label', 'id'", column="picture")
    refused(ValueError, r"no column 'class'", target="label", label_column="class")
    refused(ValueError, r"`on_error` must be one of 'raise', 'column'", on_error="skip")
    refused(ValueError, r"`batch_size` must be a whole number from 1", batch_size=0)
    refused(
        ValueError,
        r"2 actors of 1 CPU each leave none of the cluster's 2 CPUs",
        num_cpus=1,
        concurrency=2,
    )
    refused(ValueError, r"1 actor of 1 GPU each cannot run .* have \[0\.0\] GPUs", num_gpus=1)
    refused(ValueError, r"`concurrency` must be .*Received: \(1, 2, 3\)", concurrency=(1, 2, 3))


@pytest.mark.slow
def test_a_file_that_only_the_driver_has(cluster, classifier, images, tmp_path):
    path = tmp_path / "gone.keras"
    classifier.save(path)
    rows = rows_of(cluster, images[0][:4], images[1][:4], blocks=1)
    made = explain(rows, path, "saliency", column="image")
    path.unlink()
    with pytest.raises(
        Exception, match=r"There is no model '.*gone\.keras' on .*Actors must reach"
    ):
        made.take_all()


@pytest.mark.slow
def test_several_inputs_from_parquet_by_a_function_that_makes_the_model(cluster, tmp_path):
    def model():
        import keras

        keras.utils.set_random_seed(4)
        first, second = keras.Input((4,), name="first"), keras.Input((6,), name="second")
        joined = keras.layers.Concatenate()([first, second])
        return keras.Model([first, second], keras.layers.Dense(3)(joined))

    draw = np.random.default_rng(0)
    arrays = {"a": draw.random((30, 4), np.float32), "b": draw.random((30, 6), np.float32)}
    cluster.data.from_items(
        [{"a": a, "b": b} for a, b in zip(*arrays.values(), strict=True)]
    ).write_parquet(str(tmp_path))
    rows = cluster.data.read_parquet(str(tmp_path))
    found = explain(
        rows, model, "integrated_gradients", column={"first": "a", "second": "b"}, target=1, steps=4
    ).take_all()
    a, b = (np.stack([row[name] for row in found]) for name in "ab")
    wanted = IntegratedGradients(model(), steps=4)([a, b], 1).attributions
    for name, whole in zip(("first", "second"), wanted, strict=True):
        stacked = np.stack([row[f"attributions/{name}"] for row in found])
        np.testing.assert_allclose(stacked, whole, atol=1e-6)
    keras.backend.clear_session()


def test_other_jobs_refuse_at_once(cluster, stored, images):
    rows = rows_of(cluster, images[0][:4], images[1][:4], blocks=1)
    with pytest.raises(ValueError, match=r"no layer 'none'"):
        activations(rows, stored, "none", column="image")
    with pytest.raises(
        ValueError, match=r"`column` must say which of|has a column 'label' already"
    ):
        evaluate(rows, stored, "saliency", id_column="label")
    with pytest.raises(ValueError, match=r"no model '.*none\.keras', named by `embedder`"):
        map_positions(rows, "none.keras", column="image")
    models = {"encoder": stored, "classifier": stored}
    with pytest.raises(TypeError, match=r"takes no option 'stepz'"):
        rationales(rows, stored, **models, column="image", stepz=3)
