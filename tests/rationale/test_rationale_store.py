"""A search that is interrupted keeps its batches, and ends where it would have ended."""

import copy
import inspect
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_rationale_models import drawn, linear, small_models

from keras_pli.rationale.search import search_identity
from keras_pli.rationale.search.rationale_generator import RationaleGenerator
from keras_pli.rationale.search.rationale_settings import (
    RationaleSettings,
    Reconstruction,
    Search,
)
from keras_pli.rationale.search.search_identity import parts_writer
from keras_pli.settings import Settings, number, setting

SETTINGS = {"batch_size": 2, "steps": 300, "search": Search(starts=2, polish=3)}


@pytest.fixture(scope="module")
def models():
    return small_models()


@pytest.fixture(scope="module")
def x(models):
    return drawn(models[0], 7)[0]


@pytest.fixture(scope="module")
def search(models):
    return RationaleGenerator(*models, **SETTINGS)


@pytest.fixture(scope="module")
def whole(search, x):
    return search(x)


@pytest.fixture
def counted(search, monkeypatch):
    """Counts the batches that are searched, and stops behind as many as are told."""
    batches = {"done": 0, "most": 99}
    traced = search.runner.traced

    def counting(function, signature, key):
        compiled = traced(function, signature, key)

        def run(*tensors):
            if batches["done"] == batches["most"]:
                raise KeyboardInterrupt
            batches["done"] += 1
            return compiled(*tensors)

        return run if key == "tensors" else compiled

    monkeypatch.setattr(search.runner, "traced", counting)
    return batches


def claimed_parts(*given):
    with parts_writer(*given) as writer:
        return writer.parts


def parts(folder):
    return sorted(folder.glob("part-*.npz"))


def assert_same(one, other):
    for entry in fields(one):
        left, right = getattr(one, entry.name), getattr(other, entry.name)
        if entry.name == "about":
            assert left == right
        else:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right, err_msg=entry.name)


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 1, 3])
def test_it_goes_on_where_it_was_interrupted(search, x, whole, counted, tmp_path, most):
    counted["most"] = most
    with pytest.raises(KeyboardInterrupt):
        search(x, store=tmp_path / "run")
    before = {path: path.read_bytes() for path in parts(tmp_path / "run")}
    assert len(before) == most
    counted.update(done=0, most=99)
    assert_same(search(x, store=str(tmp_path / "run")), whole)
    assert counted["done"] == 4 - most
    assert all(path.read_bytes() == content for path, content in before.items())
    assert_same(search(x, store=tmp_path / "run"), whole)
    assert counted["done"] == 4 - most


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_batch_is_searched_again_alone(search, x, whole, counted, tmp_path, damage):
    search(x, store=tmp_path)
    broken = parts(tmp_path)[1]
    others = {path: path.stat().st_mtime_ns for path in parts(tmp_path) if path != broken}
    content = broken.read_bytes()
    broken.unlink()
    if damage == "cut":
        broken.write_bytes(content[:-30])
    counted["done"] = 0
    with nullcontext() if damage == "missing" else pytest.warns(UserWarning, match="made again"):
        assert_same(search(x, store=tmp_path), whole)
    assert counted["done"] == 1
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_a_second_search_in_the_folder_is_refused(search, x, tmp_path):
    with (
        parts_writer(tmp_path, search, x, RUNNER_UP),
        pytest.raises(RuntimeError, match="is being written by process"),
    ):
        search(x, store=tmp_path)


@pytest.mark.slow
def test_what_is_stored_is_plain(search, x, tmp_path):
    search(x, store=tmp_path)
    assert len(parts(tmp_path)) == 4
    with np.load(parts(tmp_path)[-1], allow_pickle=False) as stored:
        assert len(stored["codes"]) == 1
        assert all(stored[name].dtype.kind != "O" for name in stored)


@pytest.mark.slow
def test_without_a_store_an_interruption_just_raises(search, x, counted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counted["most"] = 2
    with pytest.raises(KeyboardInterrupt):
        search(x)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_progress_bar_starts_at_what_was_done(search, x, counted, tmp_path, monkeypatch):
    counted["most"] = 3
    with pytest.raises(KeyboardInterrupt):
        search(x, store=tmp_path)
    shown = []

    class Progbar(keras.utils.Progbar):
        def update(self, current, *rest, **options):
            if self.verbose:
                shown.append((current, self.target))

    monkeypatch.setattr(keras.utils, "Progbar", Progbar)
    counted["most"] = 99
    search(x, store=tmp_path, verbose=1)
    assert shown[0] == (3, 4)


KILLED = """
import sys, time, keras, numpy as np
from keras_pli.rationale import RationaleGenerator, Search
folder = sys.argv[1]
models = [keras.saving.load_model(f"{folder}/{number}.keras") for number in range(3)]
search = RationaleGenerator(*models, batch_size=2, steps=300, search=Search(starts=2, polish=3))
traced = search.runner.traced
def slow(*tensors):
    compiled = traced(*tensors)
    return lambda *rows: time.sleep(0.3) or compiled(*rows)
search.runner.traced = slow
search(np.load(f"{folder}/x.npy"), store=f"{folder}/run")
"""


@pytest.mark.slow  # as `test_survives_a_kill` of tests/attribution/test_dataset.py
def test_it_survives_a_kill(models, search, x, whole, counted, tmp_path):
    for place, model in enumerate(models):
        model.save(tmp_path / f"{place}.keras")
    np.save(tmp_path / "x.npy", x)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], env=dict(os.environ))
    deadline = time.monotonic() + 600
    while len(parts(tmp_path / "run")) < 2 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(parts(tmp_path / "run"))
    assert 2 <= done < 4
    assert_same(search(x, store=tmp_path / "run"), whole)
    assert counted["done"] == 4 - done


@pytest.fixture(scope="module")
def run(search, x, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    search(x, store=folder)
    return folder


@pytest.fixture(scope="module")
def claimed(search, x, tmp_path_factory):
    """The folder of a run that has kept a part, without the search for it."""
    folder = tmp_path_factory.mktemp("claimed")
    with parts_writer(folder, search, x, RUNNER_UP) as writer:
        writer.write(0, {"codes": x[:1]})
    return folder


RUNNER_UP = np.full(7, -1, np.int32)  # the targets of the stored run

# For each setting another value than that of the fixture.
OTHERS = {
    "confidence": 0.8, "cutoff": 0.3, "direction": "raise", "steps": 299, "learning_rate": 0.2,
    "search.target_weight": 0.9, "search.leave": "predicted", "search.similarity_weight": 1.0,
    "search.similarity_half_life": None, "search.starts": 3, "search.start_spread": 0.1,
    "search.polish": 0, "reconstruction.refine": 5, "reconstruction.refine_loss": max,
    "reconstruction.limit": 0.4, "task": "regression", "classifies": "images",
    "image_range": (-2.0, 1.0), "path_points": 3, "seed": 1, "batch_size": 3, "jit_compile": True,
    "class_names": "abcd",
}  # fmt: skip


def names_of(settings, before=""):
    for item in fields(settings):
        value = getattr(settings, item.name)
        if isinstance(value, Settings):
            yield from names_of(value, f"{item.name}.")
        else:
            yield before + item.name


def changed(settings, name, value):
    first, _, rest = name.partition(".")
    return replace(
        settings, **{first: changed(getattr(settings, first), rest, value) if rest else value}
    )


class TestRefusals:
    def test_all_settings_are_known_here_and_at_the_door(self, search):
        assert set(names_of(search.settings)) == set(OTHERS)
        door = set(inspect.signature(RationaleGenerator).parameters)
        models = {"generator", "encoder", "classifier"}
        assert door - models == {item.name for item in fields(RationaleSettings)}

    @pytest.mark.parametrize("name", [name for name in OTHERS if name != "class_names"])
    def test_every_setting_counts(self, search, x, claimed, name):
        other = copy.copy(search)
        other.settings = changed(search.settings, name, OTHERS[name])
        with pytest.raises(
            ValueError, match=rf"made otherwise: \{{'{name}': .*, and now \{{'{name}'"
        ):
            claimed_parts(claimed, other, x, RUNNER_UP)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "given"),
        [("confidence", {"confidence": 0.8}), ("search.polish", {"search": Search(starts=2)}),
         ("jit_compile", {"jit_compile": True}),
         ("reconstruction.refine", {"reconstruction": Reconstruction(refine=5)})],
    )  # fmt: skip
    def test_other_settings(self, models, x, run, name, given):
        with pytest.raises(ValueError, match=rf"made otherwise: \{{'{name}': .*'{name}': "):
            RationaleGenerator(*models, **{**SETTINGS, **given})(x, store=run)

    @pytest.mark.slow
    def test_a_new_setting_counts_by_itself(self, models, x, run):
        @dataclass(frozen=True)
        class Leaping(Search):
            leaps: int = field(default=7, metadata=number(least=0, whole=True))
            title: str = field(default="far", metadata=setting(decides=False))

        other = RationaleGenerator(*models, **{**SETTINGS, "search": Leaping(starts=2, polish=3)})
        said = r"\{'search.leaps': None\}, and now \{'search.leaps': 7\}"
        with pytest.raises(ValueError, match=said):
            other(x, store=run)

    def test_another_loss_of_the_same_name(self, models, x, tmp_path):
        def making(power):
            def loss(images, others):
                return tf.reduce_mean(tf.abs(images - others) ** power, axis=(1, 2, 3))

            return RationaleGenerator(
                *models, steps=20, reconstruction=Reconstruction(refine=2, refine_loss=loss)
            )

        for _ in range(2):
            with parts_writer(tmp_path, making(2), x, RUNNER_UP) as writer:
                writer.write(0, {"codes": x[:1]})
        with pytest.raises(ValueError, match=r"otherwise: \{'reconstruction.refine_loss': "):
            claimed_parts(tmp_path, making(1), x, RUNNER_UP)

    @pytest.mark.slow
    @pytest.mark.parametrize("which", ["generator", "encoder", "classifier"])
    def test_other_weights(self, search, x, run, which):
        model = getattr(search, which)
        weights = model.get_weights()
        model.set_weights([weights[0] + 1e-6, *weights[1:]])
        try:
            with pytest.raises(
                ValueError, match=rf"otherwise: \{{'{which}.weights': '\w+'\}}, and now"
            ):
                search(x, store=run)
        finally:
            model.set_weights(weights)

    @pytest.mark.slow
    def test_another_architecture_of_the_same_weights(self, models, x, run):
        generator, encoder, classifier = models
        softer = linear(*classifier.get_weights(), "sigmoid")
        with pytest.raises(ValueError, match=r"\{'classifier.architecture': '\w+'\}, and now"):
            RationaleGenerator(generator, encoder, softer, **SETTINGS)(x, store=run)

    @pytest.mark.slow
    def test_models_made_anew_are_the_same(self, x, run):
        again = RationaleGenerator(*small_models(), **SETTINGS)  # Keras gives them other names
        assert claimed_parts(run, again, x, RUNNER_UP).files == parts(run)

    @pytest.mark.slow
    def test_another_version(self, search, x, run, monkeypatch):
        monkeypatch.setattr(search_identity, "__version__", "99")
        with pytest.raises(
            ValueError, match=r"\{'keras_pli': '.*'\}, and now \{'keras_pli': '99'\}"
        ):
            search(x, store=run)

    @pytest.mark.slow
    def test_other_images_and_targets(self, search, x, run, whole):
        with pytest.raises(ValueError, match=r"otherwise: \{'images'"):
            search(x * 0.999, store=run)
        with pytest.raises(ValueError, match=r"'images': .*'targets': "):
            search(x[:5], store=run)
        others = (whole.predicted + 1) % 4
        with pytest.raises(ValueError, match=r"otherwise: \{'targets'"):
            search(x, others, store=run)

    @pytest.mark.slow
    def test_names_of_classes_may_change(self, models, x, run, whole):
        named = RationaleGenerator(*models, class_names="abcd", **SETTINGS)
        np.testing.assert_array_equal(named(x, store=run).codes, whole.codes)
