"""Exports need nothing but TensorFlow: not this package, and not even Python."""

import subprocess
import sys

import c_program
import export_models as made
import numpy as np
import pytest
import tensorflow as tf

from keras_pli.attribution import GradCAM, IntegratedGradients
from keras_pli.serving import export

pytestmark = pytest.mark.slow  # a C compiler and processes of their own


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = made.convolutional()
    methods = [GradCAM(model), IntegratedGradients(model, steps=6)]
    folder = tmp_path_factory.mktemp("m")
    return model, export(model, folder, explanations=methods, warmup=None)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if c_program.COMPILER is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and the libraries of the Linux wheel")
    return c_program.build(tmp_path_factory.mktemp("c"))


def test_from_c(exported, program, tmp_path):
    model, version = exported
    x = np.random.default_rng(0).random((5, 8, 8, 1), dtype=np.float32)
    target = np.array([0, 1, 2, 3, -1], np.int32)
    found, _ = c_program.run(program, version, "serving_default", {"image": x}, folder=tmp_path)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(found["probabilities"].reshape(5, 4), expected, atol=1e-5)
    np.testing.assert_array_equal(found["top_classes"].reshape(5, 4)[:, 0], expected.argmax(axis=1))
    asked = np.where(target < 0, expected.argmax(axis=1), target)
    for name, extra, method in (
        ("grad_cam", {}, GradCAM(model)),
        ("integrated_gradients", {"baseline": np.full_like(x, 0.2)}, IntegratedGradients(model, steps=6)),
    ):  # fmt: skip
        given = {"image": x, "target": target, **extra}
        found, _ = c_program.run(program, version, f"explain_{name}", given, folder=tmp_path)
        wanted = method(x, asked, baseline=extra.get("baseline"))
        assert np.ptp(wanted.attributions) > 0
        np.testing.assert_allclose(found["attributions"], wanted.attributions.ravel(), atol=1e-5)
        np.testing.assert_allclose(found["scores"], wanted.scores, atol=1e-5)


def test_a_bad_class_from_c(exported, program, tmp_path):
    given = {"image": np.ones((2, 8, 8, 1), np.float32), "target": np.array([0, 7], np.int32)}
    with pytest.raises(RuntimeError, match=r"from 0 to 3.*\[7\]"):
        c_program.run(program, exported[1], "explain_grad_cam", given, folder=tmp_path)


BARRED = """
import sys
class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "keras_pli":
            raise ImportError(f"{name} is barred")
sys.meta_path.insert(0, Bar())
from tensorflow.python.tools.saved_model_cli import main
for command in " ".join(sys.argv[1:]).split(" , "):
    sys.argv = ["saved_model_cli", *command.split()]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def saved_model_cli(*commands):
    """What the commands print, one after another in one process."""
    arguments = [str(part) for command in commands for part in (",", *command)][1:]
    done = subprocess.run(
        [sys.executable, "-c", BARRED, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_saved_model_cli(exported, tmp_path):
    model, version = exported
    x = np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "target.npy", np.array([2, 2, 2], np.int32))
    run = ["run", "--dir", version, "--tag_set", "serve", "--signature_def", "explain_grad_cam"]
    run += ["--inputs", f"image={tmp_path / 'x.npy'};target={tmp_path / 'target.npy'}"]
    shown = saved_model_cli(
        ["show", "--dir", version, "--all"], [*run, "--outdir", tmp_path / "out"]
    )
    for name in ("serving_default", "explain_grad_cam", "explain_integrated_gradients"):
        assert f"signature_def['{name}']" in shown
    found = np.load(tmp_path / "out" / "attributions.npy")
    np.testing.assert_allclose(found, GradCAM(model)(x, 2).attributions, atol=1e-6)


def test_loaded_as_a_keras_layer(exported):
    import keras

    model, version = exported
    layer = keras.layers.TFSMLayer(str(version), call_endpoint="serving_default")
    x = np.random.default_rng(0).random((3, 8, 8, 1), dtype=np.float32)
    found = layer(tf.constant(x))["probabilities"]
    np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-6)
