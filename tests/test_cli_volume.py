"""The command `volume`: a cohort table trained on, explained and reported."""

import json

import nibabel
import pandas as pd
import pytest

from keras_pli.cli import main
from keras_pli.synthetic import brain_phantoms

SMALL = ["--filters", "2,3", "--folds", "2", "--epochs", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    brain_phantoms(8, shape=(16, 18, 16)).write(folder)
    return folder


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    cohort = ["--cohort", str(folder / "cohort.csv"), "--out", str(out)]
    augment = ["--augment", "rotation,scaling,flips,intensity", "--scaling", "quantile"]
    assert main(["volume", "train", *cohort, *SMALL, *augment]) == 0
    assert main(["volume", "explain", *cohort, "--method", "grad_cam", "--images", "6"]) == 0
    regions = ["--regions", str(folder / "regions.nii.gz")]
    names = ["--region-names", str(folder / "regions.csv")]
    assert main(["volume", "report", "--out", str(out), *regions, *names, "--subjects", "2"]) == 0
    return out


def test_everything_is_written(folder, out):
    predictions = pd.read_csv(out / "training" / "predictions.csv")
    assert predictions["subject"].tolist() == pd.read_csv(folder / "cohort.csv")["subject"].tolist()
    about = json.loads((out / "training" / "result.json").read_text())
    assert about["preprocessing"]["skull_stripping"] == "mask"  # the table has masks
    assert len(list((out / "maps" / "grad_cam").glob("*.nii.gz"))) == 6
    image = nibabel.load(folder / "sub-0001_T1w.nii.gz")
    stored = nibabel.load(out / "maps" / "grad_cam" / "sub-0001_T1w.nii.gz")
    assert stored.shape == image.shape and (stored.affine == image.affine).all()
    text = (out / "cohort_report.html").read_text("utf-8")
    assert "left hippocampus" in text and "8 images of 8 subjects" in text
    assert len(list((out / "subjects").glob("*.html"))) == 2


def test_the_classes_are_called_as_in_the_table(folder, out, capsys):
    cohort = ["--cohort", str(folder / "cohort.csv"), "--out", str(out)]
    assert main(["volume", "explain", *cohort, "--target", "patient"]) == 1
    assert "must be label, predicted or one of 0, 1. Received: 'patient'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--augment", "rotations"], "--augment"),
        (["--filters", "8;16"], "must be whole numbers with commas"),
        (["--filters", "2,2,2,2,2"], "need at least"),
        (["--folds", "6"], "at least 6 subjects of each class"),
    ],
)
def test_wrong_options(folder, tmp_path, capsys, options, error):
    command = ["volume", "train", "--cohort", str(folder / "cohort.csv"), "--out", str(tmp_path)]
    assert main([*command, *options]) == 1
    assert error in capsys.readouterr().err


def test_explaining_needs_training(folder, tmp_path, capsys):
    cohort = ["--cohort", str(folder / "cohort.csv"), "--out", str(tmp_path)]
    assert main(["volume", "explain", *cohort]) == 1
    assert "no finished cross-validation" in capsys.readouterr().err


def test_a_missing_table(tmp_path, capsys):
    cohort = ["--cohort", str(tmp_path / "none.csv"), "--out", str(tmp_path)]
    assert main(["volume", "train", *cohort]) == 1
    assert "there is no such table" in capsys.readouterr().err
