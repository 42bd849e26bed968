"""`keras-pli studio` and `keras_pli.studio`: what they are given, and what they say of what does not fit."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from studio_hosts import Page

import keras_pli as kp
from keras_pli import demo
from keras_pli.cli import main
from keras_pli.locks import one_writer
from keras_pli.studio import StudioSession, opening, server
from keras_pli.studio.view_source import view_version

pytest.importorskip("uvicorn")
SAMPLES, CLASSES, FEATURES = 30, 3, 4


def linear(units, features, name):
    model = keras.Sequential([keras.Input((features,)), keras.layers.Dense(units)], name=name)
    weights = np.random.default_rng(units).normal(size=(features, units))
    model.set_weights([weights, np.zeros(units)])
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(SAMPLES, FEATURES)).astype("float32"), np.arange(SAMPLES) % CLASSES
    linear(CLASSES, FEATURES, "tiny").save(folder / "clf.keras")
    linear(2, CLASSES, "map").save(folder / "map.keras")
    linear(2, CLASSES + 1, "wide").save(folder / "wide.keras")
    linear(5, CLASSES, "deep").save(folder / "deep.keras")

    def store(name, **other):
        arrays = {"x_train": x, "y_train": y, "x_test": x[:9] + 0.1, "y_test": y[:9]}
        np.savez(folder / f"{name}.npz", **{**arrays, **other})

    store("data")
    store("nan", x_train=np.where(np.arange(SAMPLES)[:, None] == 7, np.nan, x).astype("float32"))
    store("empty", x_train=x[:0], y_train=y[:0])
    store("labels", y_train=y + 1)
    store("short", y_train=y[:-1])
    store("shape", x_train=x[:, :3])
    store("other", x_train=x + 1)
    return folder


@pytest.fixture
def served(monkeypatch):
    """The sessions and options that would be served."""
    calls = []

    def serve(session, **options):
        calls.append((session, options))
        session.close()
        return True

    monkeypatch.setattr(server, "serve", serve)
    monkeypatch.setattr(server, "check_listening", lambda host, port: None)
    return calls


def run(files, out, *arguments, data="data", embedder="map"):
    return main(
        [
            *("studio", "--model", str(files / "clf.keras"), "--data", str(files / f"{data}.npz")),
            *("--embedder", str(files / f"{embedder}.keras"), "--out", str(out), *arguments),
        ]
    )


@pytest.fixture(scope="module")
def opened(files, tmp_path_factory):
    """A folder of a session, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("opened")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "serve", lambda session, **_: session.close() or True)
        assert run(files, folder) == 0
    return folder


@pytest.fixture
def out(opened, tmp_path):
    return Path(shutil.copytree(opened, tmp_path / "run"))


def test_it_opens_what_it_is_given(files, served, out):
    options = ("--class-names", "a, b,c", "--port", "8123", "--no-browser", "--allowed-host", "box")
    assert run(files, out, *options) == 0
    ((session, given),) = served
    assert session.data.class_names == ("a", "b", "c")
    assert len(session.data.labels) == SAMPLES and len(session.data.test[1]) == 9
    layer, embedder = (keras.saving.load_model(files / name) for name in ("clf.keras", "map.keras"))
    expected = embedder(layer(session.data.train[0]))
    np.testing.assert_allclose(session.round.map, expected, rtol=1e-5, atol=1e-6)
    assert given == {
        "host": "127.0.0.1",
        "port": 8123,
        "allowed_hosts": ["box"],
        "open_browser": False,
    }


def test_a_taken_port_is_told_before_a_map_is_trained(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(server, "serve", None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(files, tmp_path / "run", "--port", str(port)) == 1
        assert f"Cannot listen on port {port}" in capsys.readouterr().err
        with pytest.raises(OSError, match="Cannot listen"):
            kp.studio(None, None, None, port=port)
    assert not (tmp_path / "run").exists()


BAD = {
    "a layer that is not there": ({}, ["--layer", "dens"], "layer"),
    "an embedder of more components": ({"embedder": "deep"}, [], r"two components.* \(1, 5\)"),
    "an embedder of another width": (
        {"embedder": "wide"},
        [],
        r"layer 'logits', \(3,\) .*\(None, 4\)",
    ),
    "no embedder": ({"embedder": "nowhere"}, [], "There is no model file"),
    "labels of other classes": ({"data": "labels"}, [], "from 1 to 3"),
    "fewer labels": ({"data": "short"}, [], "one label for each of the 30 samples"),
    "no points": ({"data": "empty"}, [], "must hold samples"),
    "NaN": ({"data": "nan"}, [], "NaN or infinity: rows 7"),
    "inputs of another shape": ({"data": "shape"}, [], r"takes inputs of shape \(None, 4\)"),
    "names of other classes": ({}, ["--class-names", "a,b"], "`class_names` must hold 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_one_sentence(files, served, tmp_path, capsys, name):
    sources, arguments, words = BAD[name]
    assert run(files, tmp_path / "run", *arguments, **sources) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("keras-pli: error: ") and re.search(words, lines[-1])
    assert "Traceback" not in "".join(lines) and not served
    # What went wrong once is not taken for a map the next time.
    assert not (tmp_path / "run" / "embedder.keras").exists()


def test_the_folder_of_another_session_is_refused(files, served, out, capsys):
    assert run(files, out, data="other") == 1
    assert re.search(r"session with another.*train inputs", capsys.readouterr().err)
    assert run(files, out, embedder="wide") == 1
    assert "another map" in capsys.readouterr().err
    (out / "studio.json").write_text('{"format": "a report"}', encoding="utf-8")
    assert run(files, out) == 1
    assert "is of the format 'a report'" in capsys.readouterr().err
    assert not served


def test_a_folder_that_is_open_is_refused(files, served, out, capsys):
    with one_writer(out, "studio"):
        assert run(files, out) == 1
    assert f"being written by process {os.getpid()}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--model, --data"),
        (["--model", "m"], "required: --data"),
        (["--demo", "--model", "m"], "--demo brings its own"),
        (["--demo", "--port", "70000"], "0 to 65535"),
        (["--demo", "--port", "http"], "a whole number"),
        (["--demo", "--encoder", "e"], "both --generator and --encoder"),
    ],
)
def test_wrong_use(arguments, words, capsys):
    with pytest.raises(SystemExit) as left:
        main(["studio", *arguments])
    assert left.value.code == 2
    assert words in capsys.readouterr().err


def test_the_demo_is_made_once(files, served, out, monkeypatch):
    made = []

    def prepare(folder):
        made.append(folder)
        for name, source in ((demo.CLASSIFIER, "clf.keras"), (demo.DATA, "data.npz")):
            (folder / name).write_bytes((files / source).read_bytes())

    monkeypatch.setattr(demo, "prepare_digits", prepare)
    for _ in range(2):
        assert main(["studio", "--demo", "--out", str(out)]) == 0
    assert made == [out] and len(served) == 2


class TestCall:
    @pytest.fixture
    def given(self, files):
        arrays = np.load(files / "data.npz")
        names = [(f"{kind}_train", f"{kind}_test") for kind in "xy"]
        (x, x_test), (labels, labels_test) = ([arrays[name] for name in pair] for pair in names)
        return {
            "classifier": keras.saving.load_model(files / "clf.keras"),
            "x": x,
            "labels": labels,
            "test": (x_test, labels_test),
            "embedder": keras.saving.load_model(files / "map.keras"),
        }

    def test_elsewhere_it_serves(self, given, served, out):
        assert kp.studio(**given, out=out, port=8000, open_browser=False) is None
        ((session, options),) = served
        assert session.folder.path == out
        assert options["port"] == 8000 and options["open_browser"] is False

    def test_in_a_notebook_it_returns_the_widget(self, given, served, out, monkeypatch):
        pytest.importorskip("anywidget")
        assert not opening.in_notebook()
        ipython = types.ModuleType("IPython")
        ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        assert opening.in_notebook()
        widgets = [kp.studio(**given, out=out) for _ in range(2)]  # a cell that is run again
        assert not served
        assert isinstance(widgets[1], kp.studio.StudioWidget)
        with pytest.raises(RuntimeError, match="being written"), one_writer(out, "studio"):
            pass
        opening._close_shown(out)
        with one_writer(out, "studio"):
            pass


@pytest.mark.slow
def test_pages_of_a_session_hear_of_each_other(files, served, out):
    assert run(files, out) == 0
    session = StudioSession(served[0][0].data, out)
    with server.StudioServer(session) as serving:
        page = Page(serving)
        refused, _ = page.ask({"id": 1, "kind": "hello", "version": "0.0.1-of-old"})
        assert refused["ok"] is False
        assert "0.0.1-of-old" in refused["error"] and "reload" in refused["error"]
        hello, _ = page.ask({"id": 2, "kind": "hello", "version": view_version()})
        assert (hello["ok"], hello["points"]) == (True, SAMPLES)
        _, (places,) = page.ask({"id": 3, "kind": "positions", "of": "map"})
        assert places == session.round.map.astype("<f4").tobytes()
        stream = page.listen()
        change = {"type": "Shift", "selection": {"type": "ClassLabel", "label": 2}, "by": [1, 0]}
        answer, _ = Page(serving).ask({"id": 1, "kind": "change", "change": change})
        assert stream.read() == {"event": "plan", "plan": answer["plan"]}
        stream.close()
    session.close()


@pytest.mark.slow
def test_ctrl_c_ends_it_and_all_is_kept(files, tmp_path):
    command = [
        *(sys.executable, "-m", "keras_pli.cli", "studio", "--no-browser"),
        *("--model", str(files / "clf.keras"), "--data", str(files / "data.npz")),
        *("--embedder", str(files / "map.keras"), "--out", str(tmp_path)),
    ]
    change = {"type": "Contract", "selection": {"type": "ClassLabel", "label": 1}, "factor": 0.5}
    for number, sign in enumerate((signal.SIGINT, signal.SIGTERM)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            line = next(line for line in process.stderr if line.startswith("The studio: "))
            page = Page(types.SimpleNamespace(url=line.split()[-1]))
            stream = page.listen()
            answer, _ = page.ask({"id": 1, "kind": "change", "change": change})
            assert len(answer["plan"]["entries"]) == number + 1  # the first is there again
            process.send_signal(sign)
            assert stream.read()["event"] == "plan" and stream.read() is None
            assert "Stopping." in process.communicate(timeout=60)[1]
        finally:
            process.kill()
        assert process.returncode == 0
