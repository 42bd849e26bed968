"""The command `volume`: a cohort table trained on, explained and reported."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import binary_erosion

from keras_pli.cli import main
from keras_pli.commands.volume_options import brains_in, region_names
from keras_pli.synthetic import brain_phantoms
from keras_pli.volume import Preprocessing, read_cohort

SMALL = ["--filters", "2,3", "--folds", "2", "--epochs", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    brain_phantoms(8, shape=(16, 18, 16)).write(folder)
    return folder


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory, untraced):
    """Where a cross-validation and the maps of six images are."""
    out = tmp_path_factory.mktemp("run")
    cohort = ["--cohort", str(folder / "cohort.csv"), "--out", str(out)]
    augment = ["--augment", "rotation,scaling,flips,intensity", "--scaling", "quantile"]
    with untraced():
        assert main(["volume", "train", *cohort, *SMALL, *augment]) == 0
    assert main(["volume", "explain", *cohort, "--method", "grad_cam", "--images", "6"]) == 0
    return out


def test_training_and_maps_are_written(folder, out):
    predictions = pd.read_csv(out / "training" / "predictions.csv")
    assert predictions["subject"].tolist() == pd.read_csv(folder / "cohort.csv")["subject"].tolist()
    about = json.loads((out / "training" / "result.json").read_text())
    assert about["preprocessing"]["skull_stripping"] == "mask"  # the table has masks
    assert len(list((out / "maps" / "grad_cam").glob("*.nii.gz"))) == 6
    image = nibabel.load(folder / "sub-0001_T1w.nii.gz")
    stored = nibabel.load(out / "maps" / "grad_cam" / "sub-0001_T1w.nii.gz")
    assert stored.shape == image.shape and (stored.affine == image.affine).all()


@pytest.mark.slow
def test_reports_are_written(folder, out):
    regions = ["--regions", str(folder / "regions.nii.gz")]
    names = ["--region-names", str(folder / "regions.csv")]
    assert main(["volume", "report", "--out", str(out), *regions, *names, "--subjects", "2"]) == 0
    text = (out / "cohort_report.html").read_text("utf-8")
    assert "left hippocampus" in text and "8 images of 8 subjects" in text
    assert len(list((out / "subjects").glob("*.html"))) == 2


def test_the_classes_are_called_as_in_the_table(folder, out, capsys):
    cohort = ["--cohort", str(folder / "cohort.csv"), "--out", str(out)]
    assert main(["volume", "explain", *cohort, "--target", "patient"]) == 1
    error = capsys.readouterr().err
    assert "one of the classes '0', '1' as text" in error and "Received: 'patient'" in error


@pytest.mark.slow
def test_what_differs_is_named_and_finds_room_beside(folder, out, capsys):
    cohort = ["--cohort", str(folder / "cohort.csv"), "--out", str(out)]
    explain = ["volume", "explain", *cohort, "--method", "grad_cam", "--images", "1"]
    assert main([*explain, "--cam-weights", "mean"]) == 1
    error = capsys.readouterr().err
    assert "{'weights': 'positive'}" in error and "{'weights': 'mean'}" in error
    assert main([*explain, "--cam-weights", "mean", "--target", "1", "--maps", "of 1"]) == 0
    assert len(list((out / "of 1" / "grad_cam").glob("*.nii.gz"))) == 1
    assert len(list((out / "maps" / "grad_cam").glob("*.nii.gz"))) == 6
    for name in ("a/b", "..", "", "training"):
        assert main([*explain, "--maps", name]) == 1
        assert "--maps must be the name of a folder" in capsys.readouterr().err
    assert main(["volume", "report", "--out", str(out), "--maps", "none"]) == 1
    assert "run `keras-pli volume explain" in capsys.readouterr().err
    augment = ["--augment", "rotation,scaling,flips,intensity", "--scaling", "quantile"]
    train = ["volume", "train", *cohort, *SMALL[:-1], "2", *augment, "--learning-rate", "0.01"]
    assert main(train) == 1
    expected = "{'epochs': 1, 'learning_rate': 0.001}, and now {'epochs': 2, 'learning_rate': 0.01}"
    assert expected in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("label,name\n1,a\n1.5,b\n", "labels must be whole numbers. Received: '1.5'"),
        ("label,name\n1,a\n,b\n", "labels must be whole numbers. Received: ''"),
        ("label,name\n1,a\n1,b\n", "each label must stand once. Several times: 1"),
        ("label;name\n1;a\n", "must have columns label and name. It has: label;name"),
        ("", "cannot be read"),
        (None, "there is no such table"),
    ],
)
def test_names_of_regions(tmp_path, capsys, text, error):
    file = tmp_path / "names.csv"
    if text is not None:
        file.write_text(text)
    command = ["volume", "report", "--out", str(tmp_path), "--region-names", str(file)]
    assert main(command) == 1
    assert error in capsys.readouterr().err


def test_rows_of_nothing_but_commas_and_regions_without_a_name(tmp_path):
    file = tmp_path / "names.csv"
    file.write_text("label,name,colour\n 7 , left ,red\n,,\n8,,blue\n-2,NA,\n")
    assert region_names(str(file)) == {7: "left", -2: "NA"}


def test_clipped_voxels_belong_to_the_brain(folder):
    prepare = Preprocessing(skull_stripping="mask", normalization="percentile")
    x, _, brains = read_cohort(folder / "cohort.csv").select([0, 1]).arrays(prepare)
    dark = x * (np.random.default_rng(0).random(x.shape) > 0.1)
    inside = np.stack([binary_erosion(brain) for brain in brains])
    assert (dark[..., 0] != 0)[inside].mean() < 0.92
    found = np.asarray(brains_in(dark))
    assert found[inside].all()
    assert (found & ~brains).sum() < 0.03 * brains.sum()


def test_damaged_images_are_left_out_where_that_is_asked_for(folder, tmp_path, capsys):
    table = pd.read_csv(folder / "cohort.csv")
    table.loc[2, "path"] = "none.nii.gz"
    table.to_csv(tmp_path / "cohort.csv", index=False)
    cohort = ["--cohort", str(tmp_path / "cohort.csv"), "--root", str(folder)]
    train = ["volume", "train", *cohort, "--out", str(tmp_path)]
    assert main([*train, "--folds", "2"]) == 1
    assert "1 of the cohort's 8 rows cannot be used" in capsys.readouterr().err
    assert (
        main([*train, "--skip-damaged", "--folds", "7"]) == 1
    )  # too many: it ends before training
    told = capsys.readouterr()
    assert "Left out: row 2, none.nii.gz: there is no such file" in told.out + told.err
    assert "Cohort(7 images of 7 subjects" in told.out + told.err
    assert "at least 7 subjects of each class" in told.err


def test_explaining_needs_training(folder, tmp_path, capsys):
    cohort = ["--cohort", str(folder / "cohort.csv"), "--out", str(tmp_path)]
    for command in (["explain", *cohort], ["report", *cohort[2:]]):
        assert main(["volume", *command]) == 1
        error = capsys.readouterr().err
        assert "no finished cross-validation: run `keras-pli volume train --out " in error


def test_a_missing_table(tmp_path, capsys):
    cohort = ["--cohort", str(tmp_path / "none.csv"), "--out", str(tmp_path)]
    assert main(["volume", "train", *cohort]) == 1
    assert "there is no such table" in capsys.readouterr().err
