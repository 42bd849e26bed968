"""What a command is given and cannot use is met in words before anything is trained or explained."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from keras_pli import ContrastiveEmbedding, ParametricTSNE, ParametricUMAP
from keras_pli.cli import main
from keras_pli.commands.data import load_data, load_samples
from keras_pli.files import array_headers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    keras.utils.set_random_seed(0)
    inner = [keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    classifier = keras.Sequential([keras.Input((4, 4)), *inner])
    classifier.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    classifier.save(folder / "clf.keras")
    classifier.save(folder / "old.h5")
    with h5py.File(folder / "old.h5", "a") as stored:  # as optimizers were stored years ago
        config = stored.attrs["training_config"]
        assert '"learning_rate"' in config
        stored.attrs["training_config"] = config.replace('"learning_rate"', '"lr"')
    for kind in (ParametricTSNE, ParametricUMAP, ContrastiveEmbedding):
        embedder = kind(hidden_units=(4,), principal_components=None)
        embedder.build((None, 3))
        embedder.save(folder / f"{kind.__name__}.keras")
    random = np.random.default_rng(0)
    x, y = random.random((30, 4, 4)), np.arange(30) % 3
    np.savez(folder / "good.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    np.savez(folder / "few.npz", x_train=x, y_train=y[:7], x_test=x, y_test=y)
    np.savez(folder / "few_test.npz", x_train=x, y_train=y, x_test=x, y_test=y[:7])
    np.savez(folder / "one_hot.npz", x_train=x, y_train=np.eye(3)[y])
    np.savez(folder / "named.npz", x_train=x, y_train=np.array(["a", "b", "c"])[y])
    np.savez(folder / "fractions.npz", x_train=x, y_train=y.astype("float32"))
    np.savez(folder / "text.npz", x_train=x.astype(str), y_train=y)
    np.savez(folder / "beyond.npz", x_train=x, y_train=y + 1, x_test=x, y_test=y)
    np.savez(folder / "other.npz", x_train=np.ones((9, 5, 4)), y_train=y[:9], x_test=x, y_test=y)
    np.save(folder / "bare.npy", x)
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "cut.npz").write_bytes((folder / "good.npz").read_bytes()[:900])
    (folder / "a_file").write_text("")
    return folder


def refused(folder, capsys, command, model="clf.keras", data="good.npz", out="out"):
    """What the command says that cannot go on, and leaves nothing behind."""
    given = [*command, "--model", str(folder / model), "--data", str(folder / data)]
    assert main([*given, "--out", str(folder / out)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert not (folder / "out").exists()
    return printed.err


EXPLAIN = ["explain", "--method", "saliency"]


@pytest.mark.parametrize(
    ("command", "data", "message"),
    [
        (
            ["retrain"],
            "few.npz",
            "y_train of {} must have one label for each of the 30 samples of x_train",
        ),
        (["retrain"], "few_test.npz", "y_test of {} must have one label for each of the 30"),
        (EXPLAIN, "few_test.npz", "y_test of {} must have one label for each of the 30"),
        (
            ["embed"],
            "one_hot.npz",
            "Received shape (30, 3). One-hot labels? Store y_train.argmax(axis=1).",
        ),
        (["embed"], "named.npz", "y_train of {} must hold classes as integers. Received dtype <U1"),
        (["embed"], "fractions.npz", "Received dtype float32. Store y_train.astype('int64')."),
        (["embed"], "text.npz", "x_train of {} must hold real numbers"),
        (["suggest"], "beyond.npz", "tells 3 classes apart, 0 to 2. Received labels from 1 to 3"),
        (["embed"], "bare.npy", "{} is an .npy file of one array without a name."),
        (EXPLAIN, "bare.npy", "np.savez('data.npz', x=np.load('{}'))"),
        (["embed"], "table.csv", "{} is not an .npz of arrays. NumPy writes one: np.savez("),
        (EXPLAIN, "cut.npz", "{} cannot be read as an .npz of plain arrays"),
        ([*EXPLAIN, "--index", "one"], "good.npz", "such as 3,17,20. Received: 'one'"),
        (
            ["embed"],
            "other.npz",
            "clf.keras takes inputs of shape (None, 4, 4). Received shape (9, 5, 4)",
        ),
    ],
)
def test_data_that_cannot_be_used(folder, capsys, command, data, message):
    assert message.format(folder / data) in refused(folder, capsys, command, data=data)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("explain", "--samples=-1"),
        ("explain", "--batch-size=0"),
        ("embed", "--batch-size=0"),
        ("embed", "--epochs=none"),
        ("retrain", "--seeds=0"),
    ],
)
def test_numbers_out_of_range_are_wrong_usage(capsys, command, option):
    with pytest.raises(SystemExit) as left:
        main([command, "--model", "m", "--data", "d", "--out", "o", option])
    assert left.value.code == 2
    name, _, value = option.partition("=")
    assert f"argument {name}: must be a whole number from" in (said := capsys.readouterr().err)
    assert f"Received: {value!r}" in said


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["embed"], "ParametricUMAP"),
        (["suggest"], "ContrastiveEmbedding"),
        (["retrain"], "ParametricTSNE"),
        (EXPLAIN, "ParametricUMAP"),
    ],
)
def test_a_map_is_no_classifier(folder, capsys, command, kind):
    said = refused(folder, capsys, command, model=f"{kind}.keras")
    assert f"{kind}.keras holds a map ({kind}), whose outputs are positions" in said


@pytest.mark.parametrize("out", ["a_file", "a_file/within"])
def test_results_need_a_folder(folder, capsys, out):
    said = refused(folder, capsys, EXPLAIN, model="none.keras", out=out)
    assert f"--out must be a folder. {folder / 'a_file'} is a file." in said


def test_results_need_a_folder_that_can_be_written_to(folder, capsys, monkeypatch):
    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert "Read-only file system" in refused(folder, capsys, EXPLAIN)


def test_an_old_training_configuration(folder, capsys, tmp_path):
    given = ["--model", str(folder / "old.h5"), "--data", str(folder / "good.npz")]
    assert main([*EXPLAIN, *given, "--pictures", "0", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "old.h5 is taken without its optimizer and loss, which Keras cannot read" in said
    assert "'lr'" in said


def test_only_the_arrays_needed_are_read(tmp_path, capsys):
    """A member that unpacks to 8 TiB is no hindrance where nobody asks for it, and refused where one does."""
    path, x = tmp_path / "large.npz", np.ones((4, 4, 4), np.float32)
    np.savez(path, x=x)
    huge = {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    with zipfile.ZipFile(path, "a") as stored:
        with stored.open("unused.npy", "w") as member:
            np.lib.format.write_array_header_2_0(member, huge)
        for name, kind in (("x_train", "<f8"), ("y_train", "<i8")):
            with stored.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(member, {**huge, "descr": kind})
    assert array_headers(path) == {
        "x": ((4, 4, 4), np.dtype("float32")),
        **dict.fromkeys(("unused", "x_train"), ((2**40,), np.dtype("float64"))),
        "y_train": ((2**40,), np.dtype("int64")),
    }
    found, labels = load_samples(str(path))
    np.testing.assert_array_equal(found, x)
    assert labels is None
    with pytest.raises(
        ValueError, match=r"x_train, y_train of .*large.npz take 16384.0 GiB of memory"
    ):
        load_data(str(path))
