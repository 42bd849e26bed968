"""A search that is interrupted keeps its batches, and ends where it would have ended."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields

import keras
import numpy as np
import pytest
from linear_rationale_models import drawn, linear, small_models

from keras_pli.rationale.search.rationale_generator import RationaleGenerator

SETTINGS = {"batch_size": 2, "steps": 300, "starts": 2, "polish": 3}


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


def parts(folder):
    return sorted(folder.glob("part-*.npz"))


def assert_same(one, other):
    for field in fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if field.name == "about":
            assert left == right
        else:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right, err_msg=field.name)


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


def test_what_is_stored_is_plain(search, x, tmp_path):
    search(x, store=tmp_path)
    assert len(parts(tmp_path)) == 4
    with np.load(parts(tmp_path)[-1], allow_pickle=False) as stored:
        assert len(stored["codes"]) == 1
        assert all(stored[name].dtype.kind != "O" for name in stored)


def test_without_a_store_an_interruption_just_raises(search, x, counted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counted["most"] = 2
    with pytest.raises(KeyboardInterrupt):
        search(x)
    assert not list(tmp_path.iterdir())


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
from keras_pli.rationale.search.rationale_generator import RationaleGenerator
folder = sys.argv[1]
models = [keras.saving.load_model(f"{folder}/{number}.keras") for number in range(3)]
search = RationaleGenerator(*models, batch_size=2, steps=300, starts=2, polish=3)
traced = search.runner.traced
def slow(*tensors):
    compiled = traced(*tensors)
    return lambda *rows: time.sleep(0.3) or compiled(*rows)
search.runner.traced = slow
search(np.load(f"{folder}/x.npy"), store=f"{folder}/run")
"""


def test_it_survives_a_kill(models, search, x, whole, counted, tmp_path):
    for number, model in enumerate(models):
        model.save(tmp_path / f"{number}.keras")
    np.save(tmp_path / "x.npy", x)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], env=dict(os.environ))
    deadline = time.monotonic() + 120
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


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "value"),
        [("steps", 299), ("confidence", 0.8), ("batch_size", 3), ("seed", 1), ("polish", 0),
         ("target_weight", 0.9), ("similarity_half_life", None), ("leave", "predicted"),
         ("reconstruction_limit", 0.4), ("jit_compile", True), ("refine", 5)],
    )  # fmt: skip
    def test_other_settings(self, models, x, run, name, value):
        other = RationaleGenerator(*models, **{**SETTINGS, name: value})
        with pytest.raises(
            ValueError, match=rf"made otherwise: \{{'{name}': .*'{name}': {value!r}"
        ):
            other(x, store=run)

    def test_another_loss(self, models, x, run):
        def absolute(images, others):
            return abs(images - others).mean()

        with pytest.raises(ValueError, match=r"'refine_loss': 'mean_squared_error'.*absolute"):
            RationaleGenerator(*models, refine_loss=absolute, **SETTINGS)(x, store=run)

    @pytest.mark.parametrize("which", ["generator", "encoder", "classifier"])
    def test_other_weights(self, search, x, run, which):
        model = getattr(search, which)
        weights = model.get_weights()
        model.set_weights([weights[0] + 1e-6, *weights[1:]])
        try:
            with pytest.raises(ValueError, match=rf"otherwise: \{{'{which}': '\w+'\}}, and now"):
                search(x, store=run)
        finally:
            model.set_weights(weights)

    def test_other_images_and_targets(self, search, x, run, whole):
        with pytest.raises(ValueError, match=r"otherwise: \{'images'"):
            search(x * 0.999, store=run)
        with pytest.raises(ValueError, match=r"'images': .*'targets': "):
            search(x[:5], store=run)
        others = (whole.predicted + 1) % 4
        with pytest.raises(ValueError, match=r"otherwise: \{'targets'"):
            search(x, others, store=run)

    def test_another_cutoff(self, models, x, tmp_path):
        regressor = linear([[1.0], [0.5], [0.2]])
        make = [
            RationaleGenerator(*models[:2], regressor, cutoff=cutoff, steps=20)
            for cutoff in (-9.0, -8.0)
        ]
        make[0](x, store=tmp_path)
        with pytest.raises(ValueError, match=r"'cutoff': -9\.0.*'cutoff': -8\.0"):
            make[1](x, store=tmp_path)

    def test_names_of_classes_may_change(self, models, x, run, whole):
        named = RationaleGenerator(*models, class_names="abcd", **SETTINGS)
        np.testing.assert_array_equal(named(x, store=run).codes, whole.codes)
