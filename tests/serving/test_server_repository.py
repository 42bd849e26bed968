"""The folders of models: what counts as a version, when it is loaded, and what becomes of a broken one."""

import gc
import logging
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from served_models import eventually, images, in_python, save_classifier

from keras_pli.serving.server import ModelRepository, ServingError, loading


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "digits"
    save_classifier(folder, 1, seed=1)
    return folder


@pytest.fixture
def one_model(saved_once, tmp_path):
    return Path(shutil.copytree(saved_once, tmp_path / "digits"))


def copied(folder, version):
    shutil.copytree(folder / "1", folder / str(version))


def test_only_whole_numbers_with_a_saved_model_count(one_model):
    for name in (".tmp-2", "2.5", "-3", "v4", "latest", "٥"):
        copied(one_model, name)
    (one_model / "7").mkdir()
    copied(one_model, "0012")
    assert ModelRepository(one_model).models() == {"digits": [1, 12]}


def test_folder_of_models_and_folder_of_one_model(one_model):
    (one_model.parent / ".hidden").mkdir()
    copied(one_model, one_model.parent / ".hidden" / "1")
    (one_model.parent / "empty").mkdir()
    (one_model.parent / "models.config").write_text("")
    assert ModelRepository(one_model.parent).models() == {"digits": [1]}
    assert ModelRepository(one_model).models() == {"digits": [1]}


@pytest.fixture
def held(monkeypatch):
    """Versions from 2 are loaded only when the second event is set; the first says that one is waiting."""
    begun, go = threading.Event(), threading.Event()
    read, at_work = loading.read, []

    def slow(name, version, path):
        if version == 1:
            return read(name, version, path)
        at_work.append(version)
        begun.set()
        try:
            assert go.wait(60)
            return read(name, version, path)
        finally:
            at_work.pop()

    monkeypatch.setattr(loading, "read", slow)
    yield begun, go
    go.set()
    eventually(lambda: not at_work)  # or the next test would find it loaded in its time


def test_folder_without_a_model_is_named(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ValueError, match=r"No model in .*saved_model\.pb"):
            ModelRepository(folder)


def test_newest_by_default_and_any_by_number(one_model):
    save_classifier(one_model, 2, seed=2)
    repository = ModelRepository(one_model)
    x = images(3)
    assert repository.load("digits").version == 2
    for version in (1, 2):
        got = repository.load("digits", version).signature("").run({"image": x})
        expected = in_python(one_model / str(version), "serving_default", image=x)
        np.testing.assert_array_equal(got["logits"], expected["logits"])


@pytest.mark.slow
def test_ten_is_newer_than_nine(one_model):
    copied(one_model, 9)
    copied(one_model, 10)
    assert ModelRepository(one_model).load("digits").version == 10


def test_new_version_is_found_and_a_removed_one_forgotten(one_model):
    repository = ModelRepository(one_model)
    assert repository.load("digits").version == 1
    copied(one_model, 2)
    eventually(lambda: repository.load("digits").version == 2)
    shutil.rmtree(one_model / "2")
    eventually(lambda: repository.load("digits").version == 1)
    with pytest.raises(ServingError, match=r"one of 1\. Received: 2"):
        repository.load("digits", 2)
    save_classifier(one_model, 2, seed=3)
    x = images(1)
    got = repository.load("digits", 2).signature("").run({"image": x})["logits"]
    expected = in_python(one_model / "2", "serving_default", image=x)["logits"]
    np.testing.assert_array_equal(got, expected)


def states(repository):
    return [(status.version, status.state) for status in repository.states("digits")]


def test_requests_go_on_while_a_newer_version_loads(one_model, held):
    begun, go = held
    repository = ModelRepository(one_model)
    repository.load("digits")
    copied(one_model, 2)
    assert repository.load("digits").version == 1
    assert begun.wait(60)
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda _: repository.load("digits").version, range(40))
        assert set(found) == {1}
    assert [status.version for status in repository.status("digits")] == [2, 1]
    assert states(repository) == [(2, "LOADING"), (1, "AVAILABLE")]
    go.set()
    eventually(lambda: repository.load("digits").version == 2)
    assert states(repository) == [(2, "AVAILABLE"), (1, "START")]


@pytest.mark.slow
def test_one_that_is_asked_for_by_its_number_waits_for_it_and_stays(one_model, held):
    begun, go = held
    repository = ModelRepository(one_model)
    assert repository.load("digits", 1).version == 1
    copied(one_model, 2)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(repository.load, "digits", 2)
        assert begun.wait(60) and not second.done()
        assert repository.load("digits").version == 1
        go.set()
        assert second.result(60).version == 2
    assert repository.load("digits").version == 2
    assert states(repository) == [(2, "AVAILABLE"), (1, "AVAILABLE")]


@pytest.mark.slow
def test_removed_version_serves_until_another_one_is_in_memory(one_model, held):
    begun, go = held
    copied(one_model, 2)
    copied(one_model, 3)
    go.set()
    repository = ModelRepository(one_model)
    assert repository.load("digits").version == 3
    go.clear()
    begun.clear()
    shutil.rmtree(one_model / "3")
    assert repository.load("digits").version == 3
    assert begun.wait(60)
    assert repository.load("digits").version == 3
    go.set()
    eventually(lambda: repository.load("digits").version == 2)


@pytest.fixture
def young_heap():
    """Leaves what other tests have made out of the collector's sight, which takes long to look through."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.slow
def test_old_version_leaves_memory_when_its_requests_have_ended(one_model, young_heap):
    repository = ModelRepository(one_model)
    left = threading.Event()
    repository.released = left.set
    in_use = repository.load("digits")
    variable = weakref.ref(in_use.restored.weights)
    copied(one_model, 2)
    eventually(lambda: repository.load("digits").version == 2)
    assert in_use.signature("").run({"image": images(1)})["logits"].shape == (1, 3)
    assert not left.is_set()
    del in_use
    assert left.wait(60)
    gc.collect()
    assert variable() is None


def test_what_waits_for_a_version_is_told_when_the_repository_is_closed(one_model, held):
    copied(one_model, 2)
    begun, _ = held
    repository = ModelRepository(one_model)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(repository.load, "digits")
        assert begun.wait(60)
        assert repository.busy
        repository.close()
        with pytest.raises(ServingError, match="stopping") as error:
            waiting.result(60)
    assert error.value.code == "UNAVAILABLE"


def test_loaded_once_by_eight_threads(one_model, monkeypatch):
    loads = []
    load = tf.saved_model.load
    monkeypatch.setattr(tf.saved_model, "load", lambda *a, **k: loads.append(a) or load(*a, **k))
    repository = ModelRepository(one_model)
    assert loads == []
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: repository.load("digits"), range(8)))
    assert len(loads) == 1
    assert all(model is found[0] for model in found)


@pytest.mark.slow
def test_states(one_model):
    copied(one_model, 2)
    repository = ModelRepository(one_model)
    states = [(s.version, s.state) for s in repository.status("digits")]
    assert states == [(2, "AVAILABLE"), (1, "START")]
    (status,) = repository.status("digits", 1)
    assert (status.state, status.error_code, status.error_message) == ("AVAILABLE", "OK", "")


@pytest.mark.parametrize(
    "damage",
    [*(pytest.param(d, marks=pytest.mark.slow) for d in ("cut", "garbage")), "no_variables"],
)
def test_broken_version_is_told_and_the_next_serves(one_model, damage):
    copied(one_model, 2)
    graph = one_model / "2" / "saved_model.pb"
    if damage == "cut":
        graph.write_bytes(graph.read_bytes()[:100])
    elif damage == "garbage":
        graph.write_bytes(b"\xff" * 50)
    else:
        shutil.rmtree(one_model / "2" / "variables")
    repository = ModelRepository(one_model)
    assert repository.load("digits").version == 1
    broken, good = repository.status("digits")
    assert (broken.version, broken.state, good.state) == (2, "END", "AVAILABLE")
    assert broken.error_code != "OK" and broken.error_message
    with pytest.raises(ServingError, match="Version 2 of 'digits' does not load") as error:
        repository.load("digits", 2)
    assert error.value.code == "NOT_FOUND"


@pytest.mark.slow
def test_broken_version_is_tried_again_only_when_its_files_change(one_model, monkeypatch):
    copied(one_model, 2)
    variables = one_model / "2" / "variables"
    shutil.move(variables, one_model / "kept")
    loads = []
    load = tf.saved_model.load
    monkeypatch.setattr(tf.saved_model, "load", lambda *a, **k: loads.append(a) or load(*a, **k))
    repository = ModelRepository(one_model)
    for _ in range(3):
        with pytest.raises(ServingError):
            repository.load("digits", 2)
    assert len(loads) == 1
    shutil.move(one_model / "kept", variables)
    assert repository.load("digits", 2).version == 2


@pytest.mark.slow
def test_newer_version_that_is_broken_is_told_once_and_not_tried_all_the_time(
    one_model, monkeypatch, caplog
):
    repository = ModelRepository(one_model)
    repository.load("digits")
    loads = []
    load = tf.saved_model.load
    monkeypatch.setattr(tf.saved_model, "load", lambda *a, **k: loads.append(a) or load(*a, **k))
    copied(one_model.parent / "digits", one_model.parent / "2")
    shutil.rmtree(one_model.parent / "2" / "variables")
    (one_model.parent / "2").rename(one_model / "2")
    assert repository.load("digits").version == 1
    eventually(lambda: states(repository) == [(2, "END"), (1, "AVAILABLE")])
    assert "variables" in repository.states("digits")[0].error_message
    monkeypatch.setattr(loading, "RECHECK_SECONDS", 3600)
    for attempt in range(5):  # as a copy that goes on for long
        (one_model / "2" / "part").write_text("x" * attempt)
        assert repository.load("digits").version == 1
        eventually(lambda: not repository.busy)
    assert len(loads) == 1
    assert caplog.text.count("Version 2 of 'digits' does not load") == 1
    monkeypatch.setattr(loading, "RECHECK_SECONDS", 0)
    shutil.copytree(one_model / "1" / "variables", one_model / "2" / "variables")
    eventually(lambda: repository.load("digits").version == 2)


def test_nobody_is_warned_of_gradients_that_nobody_takes(tmp_path, caplog):
    class Rounding(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
        def predict(self, x):
            return {"y": tf.custom_gradient(lambda x: (tf.round(x), lambda dy: dy))(x)}

    module, logger = Rounding(), logging.getLogger("absl")
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(tmp_path / "m" / "1"), module.predict, options)
    logger.addHandler(caplog.handler)
    try:
        tf.saved_model.load(str(tmp_path / "m" / "1"))
        assert "unsaved custom gradients" in caplog.text  # else there is nothing to keep back
        caplog.clear()
        filters = list(logger.filters)
        ModelRepository(tmp_path).load("m")
    finally:
        logger.removeHandler(caplog.handler)
    assert "gradients" not in caplog.text and logger.filters == filters


def test_graph_for_another_use_is_told(one_model):
    from tensorflow.core.protobuf import saved_model_pb2

    path = one_model / "1" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    saved.meta_graphs[0].meta_info_def.tags[:] = ["train"]
    path.write_bytes(saved.SerializeToString())
    with pytest.raises(ServingError, match=r"no graph is tagged 'serve'.*'train'"):
        ModelRepository(one_model).load("digits")


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("digit", None, "`model` must be one of 'digits'.*Did you mean 'digits'"),
        pytest.param("", None, "`model` must be one of 'digits'", marks=pytest.mark.slow),
        pytest.param("../digits", None, "`model` must be one of", marks=pytest.mark.slow),
        ("digits", 3, "`version of 'digits'` must be one of 1. Received: 3"),
    ],
)
def test_what_exists_is_named(one_model, name, version, words):
    repository = ModelRepository(one_model.parent)
    for ask in (repository.load, repository.status):
        with pytest.raises(ServingError, match=words) as error:
            ask(name, version)
        assert error.value.code == "NOT_FOUND"
    assert repository.load("digits").version == 1
