"""How `keras-pli` starts: help without Keras, a backend or one sentence, and no lines of TensorFlow's own."""

import subprocess
import sys

import keras  # noqa: F401 - where it runs on TensorFlow, which a test then takes away
import pytest

from keras_pli.cli import main

HELP_ALONE = """
import sys
sys.argv[0] = "/usr/bin/keras-pli"
import keras_pli.cli
for asked in (["--version"], ["--help"], ["explain", "--help"]):
    try:
        keras_pli.cli.main(asked)
    except SystemExit as left:
        assert left.code == 0, left.code
    loaded = {"keras", "tensorflow", "numpy", "pandas", "matplotlib", "jax"} & set(sys.modules)
    assert not loaded, loaded
"""
STARTING = """
import os, sys
sys.argv[0] = "keras-pli"
from keras_pli.commands.backend import without_start_up_lines
os.write(2, b"I0000 before\\n")
with without_start_up_lines():
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
    os.write(2, b"I0000 00:00:1795848113.751134   16573 port.cc:153] oneDNN custom operations are on.\\n")
    os.write(2, b"E0000 00:00:1795848113.751134   16573 cuda.cc:1] no driver\\nThis processor ")
    os.write(2, b"lacks AVX.\\n")
os.write(2, b"I0000 after\\n")
with without_start_up_lines():
    os.write(2, b"I0000 x\\nF0000 out of memory")
    os.abort()
"""


# A map is found in its file by whoever has imported the package, in whatever order.
LOADING = """
import keras_pli
import keras
assert keras.saving.get_registered_object("keras_pli>ParametricTSNE")
assert keras.saving.get_registered_object("keras_pli>PLILoss")
"""


def run(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


@pytest.mark.slow  # a process that imports TensorFlow
def test_importing_the_package_registers_its_classes():
    done = run(LOADING)
    assert done.returncode == 0, done.stderr


def test_help_and_version_need_no_keras():
    done = run(HELP_ALONE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("keras-pli 0.")
    assert "a class, `label` for each sample's own" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="lines are filtered by a forked process")
def test_lines_of_libraries_are_dropped_and_errors_are_not():
    done = run(STARTING)
    assert done.returncode < 0  # aborted
    assert done.stderr.splitlines() == [
        "I0000 before",
        "E0000 00:00:1795848113.751134   16573 cuda.cc:1] no driver",
        "This processor lacks AVX.",
        "I0000 after",
        "F0000 out of memory",
    ]


def test_a_missing_backend_is_one_sentence(tmp_path, capsys, monkeypatch):
    explain = [
        "explain",
        "--model",
        "m",
        "--data",
        "d",
        "--method",
        "saliency",
        "--out",
        str(tmp_path),
    ]
    embed = ["embed", "--model", "m", "--data", "d", "--out", str(tmp_path)]
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for command, of_jax in ((explain, False), (embed, True)):
        assert main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "TensorFlow is not installed" in line
        assert "pip install 'keras-pli[cpu]'" in line
        assert ("JAX will do, too: KERAS_BACKEND=jax" in line) == of_jax


@pytest.mark.parametrize(("backend", "command"), [("torch", "embed"), ("jax", "serve")])
def test_another_backend_is_one_sentence(tmp_path, capsys, monkeypatch, backend, command):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    options = {"embed": ["--model", "m", "--data", "d", "--out", str(tmp_path)]}
    assert main([command, *options.get(command, ["--dir", str(tmp_path)])]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{backend!r}" in line
    assert "TensorFlow" in line
