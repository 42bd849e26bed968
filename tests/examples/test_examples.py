"""The scripts in examples/ run as a user would run them, on small data of the same shape.

They run in this process, one after another: another one would import TensorFlow first, each time.
"""

import contextlib
import io
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script, *arguments):
    """What a script prints."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", [script, *arguments])
        patch.syspath_prepend(EXAMPLES)  # where a script finds the modules beside it
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    return printed.getvalue()


@pytest.fixture(scope="module")
def small_digits(tmp_path_factory):
    """The digits as 28 × 28 and 32 × 32 × 3 images of bytes, in files as --data takes them."""
    digits = load_digits()
    images = (digits.images * 15.9).astype("uint8")[:600]
    labels = digits.target[:600]
    folder = tmp_path_factory.mktemp("data")
    grey = np.pad(images.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    color = np.stack([images.repeat(4, axis=1).repeat(4, axis=2)] * 3, axis=-1)
    for name, x, y in (("grey", grey, labels), ("color", color, labels[:, None])):
        np.savez(
            folder / f"{name}.npz", x_train=x[:400], y_train=y[:400], x_test=x[400:], y_test=y[400:]
        )
    return folder


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param("pli_mnist.py", "grey", marks=pytest.mark.slow),
        pytest.param("pli_cifar10.py", "color", marks=pytest.mark.slow),  # the same on other images
    ],
)
def test_example_on_data_from_a_file(script, kind, small_digits, tmp_path):
    data = ["--data", str(small_digits / f"{kind}.npz")]
    printed = run(script, *data, "--out", str(tmp_path), "--seeds", "1")
    assert "Share of the asked displacement" in printed
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("data:image/png") >= 3


def rationale_options(data, out):
    options = ["--data", str(data / "grey.npz"), "--out", str(out), "--width", "4"]
    return [*options, "--change", "0", "1", "--images", "3", "--steps", "20", "--epochs"]


@pytest.mark.slow
def test_rationales_of_a_classifier_of_images(small_digits, tmp_path):
    printed = run("rationale_fashion_mnist.py", *rationale_options(small_digits, tmp_path), "1")
    assert "3 images: " in printed and "a second classifier agrees with" in printed
    for name in ("samples", "reconstructions", "rationales", "path", "beside"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


@pytest.mark.slow
def test_training_for_rationales_goes_on_where_it_was(small_digits, tmp_path):
    options = rationale_options(small_digits, tmp_path)
    run("rationale_mnist.py", *options, "1")
    (tmp_path / "generator.keras").unlink()  # as after an interruption: only gan.keras is there
    printed = run("rationale_mnist.py", *options, "2")
    assert "Epoch 2/2" in printed and "Epoch 1/2" not in printed
    assert "3 images: " in printed


SCRIPTS = [
    path.name for path in sorted(EXAMPLES.glob("*.py")) if "__main__" in path.read_text("utf-8")
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_finds_what_it_imports_and_says_what_it_does(script):
    with pytest.raises(SystemExit) as left:
        run(script, "--help")
    assert left.value.code == 0


def test_data_file_without_an_array_is_named(tmp_path):
    np.savez(tmp_path / "half.npz", x_train=np.zeros((2, 2)))
    with pytest.raises((SystemExit, ValueError), match="x_test, y_test, y_train"):
        run("pli_mnist.py", "--data", str(tmp_path / "half.npz"))


def test_a_folder_of_results_belongs_to_one_set_of_data_and_settings(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from data import claim

    files = [tmp_path / name for name in ("one.npz", "same.npz", "other.npz")]
    for file, content in zip(files, (b"1", b"1", b"2"), strict=True):
        file.write_bytes(content)
    claim(tmp_path / "run", files[0], weights=(0.1, "auto"))
    claim(tmp_path / "run", files[1], weights=(0.1, "auto"))
    for data, weights in ((files[2], (0.1, "auto")), (files[0], (0.1,)), (None, (0.1, "auto"))):
        with pytest.raises(SystemExit, match="other data or settings"):
            claim(tmp_path / "run", data, weights=weights)


@pytest.mark.slow
def test_digits_example(tmp_path):
    assert "trustworthiness" in run("pli_digits.py", "--out", str(tmp_path), "--seeds", "2")


@pytest.mark.slow
def test_what_helps_the_groups_that_a_shortcut_leaves_behind(small_digits, tmp_path):
    data = ["--data", str(small_digits / "grey.npz"), "--out", str(tmp_path), "--seeds", "1"]
    printed = run("shortcut.py", *data)
    assert "seed 0: layer " in printed and "worst − control" in printed
    assert all(arm in printed for arm in ("control", "move, λ 0.5", "exclude", "groups given"))
    assert (tmp_path / "shortcut.png").stat().st_size > 5000
    assert run("shortcut.py", *data) == printed  # what is there is read
    with pytest.raises(SystemExit, match="other data or settings"):
        run("shortcut.py", *data, "--agree", "0.9")


@pytest.mark.slow
def test_plans_of_the_study_beside_one_control(small_digits, tmp_path):
    data = ["--data", str(small_digits / "grey.npz"), "--out", str(tmp_path), "--seeds", "1"]
    printed = run("pli_fashion_mnist.py", *data, "--study-plans", "--weights", "0.1")
    assert all(
        plan in printed for plan in ("by hand", "suggest, pairs alone", "suggest, free room")
    )
    assert "foreign, asked" in printed
    assert run("pli_fashion_mnist.py", *data, "--study-plans", "--weights", "0.1") == printed
    with pytest.raises(SystemExit, match="other data or settings"):
        run("pli_fashion_mnist.py", *data, "--study-plans", "--weights", "0.5")


@pytest.mark.slow
def test_wrong_labels_are_put_right(small_digits, tmp_path):
    options = ["--data", str(small_digits / "grey.npz"), "--out", str(tmp_path), "--seeds", "1"]
    printed = run("label_noise.py", *options, "--pair", "3", "8", "--noise", "0.2")
    assert printed.count("of the wrong found") == 1
    assert all(f"20% {arm}" in printed for arm in ("    relabel", "    exclude", "true labels"))
    assert (tmp_path / "label_noise.png").stat().st_size > 5000
    assert run("label_noise.py", *options, "--pair", "3", "8", "--noise", "0.2") == printed


@pytest.mark.slow
def test_lassos_around_unlabelled_clusters(small_digits, tmp_path):
    options = ["--data", str(small_digits / "grey.npz"), "--out", str(tmp_path), "--seeds", "1"]
    printed = run("label_by_lasso.py", *options)
    assert all(arm in printed for arm in ("10 lassos, seen", "self-training, once", "1 lasso"))
    assert (tmp_path / "label_by_lasso.png").stat().st_size > 5000
    changed = (tmp_path / "seed-0.csv").stat().st_mtime_ns
    assert run("label_by_lasso.py", *options) == printed  # what is there is read
    assert (tmp_path / "seed-0.csv").stat().st_mtime_ns == changed


@pytest.mark.slow
def test_images_that_activate_classes_most(small_digits, tmp_path):
    options = ["--data", str(small_digits / "grey.npz"), "--epochs", "3", "--starts", "1"]
    printed = run("maximised_fashion_mnist.py", *options, "--out", str(tmp_path))
    assert "The second network agrees on " in printed
    assert (tmp_path / "maximised.png").stat().st_size > 5000


@pytest.mark.slow
def test_loss_surfaces_of_two_networks(small_digits, tmp_path):
    options = [
        "--depth",
        "8",
        "--width",
        "2",
        "--epochs",
        "1",
        "--samples",
        "100",
        "--probes",
        "40",
    ]
    given = [
        "--data",
        str(small_digits / "grey.npz"),
        "--out",
        str(tmp_path),
        *options,
        "--grid",
        "3",
    ]
    printed = run("loss_landscape.py", *given)
    assert printed.count("largest eigenvalues") == 2
    for name in ("surfaces", "reliefs", "spectra"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert "Epoch" not in run("loss_landscape.py", *given)  # what is there is read


@pytest.mark.slow
def test_students_learn_from_explanations(small_digits, tmp_path):
    options = ["--data", str(small_digits / "grey.npz"), "--epochs", "1", "--sizes", "16", "64"]
    printed = run(
        "learning_from_explanations.py",
        *options,
        "--seeds",
        "1",
        "--steps",
        "5",
        "--out",
        str(tmp_path),
    )
    assert "Integrated gradients" in printed and "random maps" in printed
    assert (tmp_path / "student.png").stat().st_size > 5000


@pytest.mark.slow
def test_a_data_set_is_explained_on_ray(small_digits, tmp_path):
    pytest.importorskip("ray.data")
    data = ["--data", str(small_digits / "grey.npz"), "--quick", "--actors", "1"]
    printed = run("explain_on_ray.py", *data, "--out", str(tmp_path))
    assert "class 9" in printed and "integrated gradients" in printed
    assert list((tmp_path / "maps").glob("*.parquet"))
    assert (tmp_path / "index.html").read_text(encoding="utf-8").count("data:image/png") == 2
