"""Parts of the report on a cohort, in cases that a small cohort of two classes with masks does not meet."""

import json
from dataclasses import replace
from html import unescape
from re import findall
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from cohorts import PREPARE, SHAPE, build, phantoms

from keras_pli import plotting
from keras_pli.attribution import Saliency
from keras_pli.volume import (
    CrossValidation,
    Preprocessing,
    cohort_report,
    explain_cohort,
    read_cohort,
)
from keras_pli.volume.explaining.file_names import file_name, file_names
from keras_pli.volume.explaining.mean_of_others import mean_of_others
from keras_pli.volume.pages import cohort_report as pages
from keras_pli.volume.pages import report_methods
from keras_pli.volume.pages.cohort_report import verdicts
from keras_pli.volume.pages.own_files import own_files
from keras_pli.volume.pages.report_methods import MethodParts
from keras_pli.volume.training.cross_validation import training_identity

ROWS = ["everything", "whole region", "map", "complement", "random region", "nothing"]
ODD = ("../../../a", "b?c", "b#c")


def validated(classes, labels, preprocessing=PREPARE):
    """A cross-validation of two folds, of networks that are not trained."""
    count = len(labels)
    odds = np.random.default_rng(0).dirichlet(np.ones(len(classes)), count)
    predictions = pd.DataFrame(
        {
            "subject": [f"s{row}" for row in range(count)],
            "label": labels,
            "fold": np.arange(count) * 2 // count,
            "predicted": [classes[code] for code in odds.argmax(1)],
            **{f"p_{name}": odds[:, code] for code, name in enumerate(classes)},
            "brain_volume": np.nan,
            "scale": 1.0,
        }
    )
    table = pd.DataFrame(
        {"fold": [0, 1], "training_accuracy": [0.5, 0.5], "validation_accuracy": [0.5, 0.5]}
    )
    models = tuple(build((*SHAPE, 1), len(classes), seed) for seed in (0, 1))
    return CrossValidation(
        predictions, table, pd.DataFrame(), models, tuple(classes), preprocessing, ""
    )


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Three classes without masks; names of classes, methods and files that are no names of files."""
    place = tmp_path_factory.mktemp("odd")
    table = pd.read_csv(phantoms().write(place / "files"))
    paths = []
    for row, path in enumerate(table["path"][:6]):
        paths.append(place / "files" / f"50% #{row}?.nii.gz")
        (place / "files" / path).rename(paths[-1])
    labels = [ODD[row % 3] for row in range(6)]
    given = pd.DataFrame(
        {"path": map(str, paths), "label": labels, "subject": [f"s{row}" for row in range(6)]}
    )
    cohort = read_cohort(given)
    found = validated(cohort.classes, labels, Preprocessing())
    found = replace(
        found,
        predictions=found.predictions.assign(fold=1),  # one network to trace
        identity=training_identity(cohort, found.preprocessing, found.models),
    )
    before = {*place.rglob("*")}
    out = place / "deep" / "out"
    explained = explain_cohort(
        found, cohort, None, {"../../../m": Saliency}, out / "maps", target="label"
    )
    cohort_report(found, explained, out, subjects=1)
    written = {path for path in {*place.rglob("*")} - before if path.is_file()}
    return SimpleNamespace(
        out=out, written=written, cohort=cohort, found=found, explained=explained
    )


def test_nothing_is_written_outside_of_the_folder(odd):
    assert odd.written and all(odd.out in path.parents for path in odd.written)
    assert len(list((odd.out / "mean_maps").glob("*.nii.gz"))) == 3


def test_maps_are_those_of_the_network_of_the_fold(odd):
    x, codes, _ = odd.cohort.arrays(Preprocessing())
    expected = np.asarray(Saliency(odd.found.models[1])(x, target=codes).attributions)[..., 0]
    maps = odd.explained.maps("../../../m")
    np.testing.assert_allclose(maps, expected, atol=1e-5 * abs(expected).max())
    np.testing.assert_allclose(odd.explained.volumes, x[..., 0], atol=1e-6)
    assert odd.explained.table["explained"].tolist() == odd.cohort.table["label"].tolist()


def test_links_lead_to_the_pages(odd):
    links = findall(r'href="([^"]*)"', (odd.out / "cohort_report.html").read_text("utf-8"))
    assert len(links) == 1
    for link in map(unescape, links):
        assert "#" not in link and "?" not in link
        assert (odd.out / unquote(link)).is_file()


def test_a_page_of_three_classes_without_masks(odd):
    text = (odd.out / "cohort_report.html").read_text("utf-8")
    assert "3 classes" in text and "Brain size" not in text
    assert "Accuracy on 6 images where everything but the named part" in text


def test_a_correlation_that_is_not_known():
    found = validated((0, 1), [0, 1, 0, 1])
    found = replace(found, predictions=found.predictions.assign(brain_volume=[1.0, 2, 3, 4]))
    told = " ".join(verdicts(found))
    assert "cannot be told" in told and "nan" not in told and "hardly" not in told


@pytest.mark.parametrize("scaling", [None, "quantile", "pot", "reference"])
def test_what_was_done_about_sizes_is_told(scaling, monkeypatch):
    found = replace(validated((0, 1), [0, 1] * 8), scaling=scaling)
    odds = np.random.default_rng(0).normal(size=16)
    sizes = np.exp(odds / 9) * 1000
    scale = (1000 / sizes) ** (1 / 3) if scaling == "reference" else 1.0
    predictions = found.predictions.assign(
        p_0=1 / (1 + np.exp(odds)), p_1=1 / (1 + np.exp(-odds)), brain_volume=sizes, scale=scale
    )
    found = replace(found, predictions=predictions)
    told = " ".join(verdicts(found))
    assert ("Train with optimal scaling" in told) == (scaling is None)
    assert ("something that goes with size is left" in told) == (scaling is not None)
    assert ("all brains were brought to one size" in told) == (scaling == "reference")
    stages = {}
    monkeypatch.setattr(
        plotting, "size_distributions", lambda sizes, *_, **__: stages.update(sizes)
    )
    monkeypatch.setattr(pages, "page_figure", lambda figure, text: text)
    list(pages._size(found))
    assert len(stages) == 1 + (scaling is not None)
    seen = 1000 if scaling == "reference" else sizes
    np.testing.assert_allclose(list(stages.values())[-1], seen)


class TestMeanOfOthers:
    def test_by_hand(self):
        random = np.random.default_rng(0)
        maps = random.normal(size=(7, 2, 3, 4))
        labels, subjects = np.array([0, 0, 0, 1, 1, 1, 1]), np.array(list("aabccde"))
        means, known = mean_of_others(maps, labels, subjects)
        assert known.all()
        for row in range(7):
            others = subjects != subjects[row]
            wanted = [maps[others & (labels == label)].mean(axis=0) for label in (0, 1)]
            np.testing.assert_allclose(means[row], np.mean(wanted, axis=0), atol=1e-6)

    def test_where_the_map_is_the_class_it_tells_nothing(self):
        labels = np.array([0, 0, 1, 1, 1])
        means, _ = mean_of_others(labels.reshape(5, 1, 1, 1), labels, np.arange(5))
        np.testing.assert_allclose(means, 0.5)

    def test_a_class_of_one_subject(self):
        labels, subjects = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 3, 3])
        means, known = mean_of_others(np.ones((5, 1, 1, 1)), labels, subjects)
        assert known.tolist() == [True, True, True, False, False]
        assert not means[3:].any()


@pytest.fixture
def parts():
    """Parts of a method on random maps, of which only the arrays are there."""
    random = np.random.default_rng(1)
    found = validated((0, 1), [0, 1] * 4)
    table = found.predictions.assign(row=range(8), explained=found.predictions["label"])
    data = SimpleNamespace(
        found=found,
        explained=SimpleNamespace(table=table),
        volumes=random.normal(size=(8, *SHAPE)),
        brains=np.ones((8, *SHAPE), bool),
    )
    return MethodParts(data, "m", None, None, 0.1), random.normal(size=(8, *SHAPE))


def test_an_image_is_judged_in_the_mean_map_of_others_of_its_fold(parts, monkeypatch):
    method, maps = parts
    calls = []

    def measured(network, x, y, means, **options):
        calls.append((network, x, y, means))
        return pd.DataFrame({"accuracy": 0.5, "seen": 0.1}, index=pd.Index(ROWS, name="seen part"))

    monkeypatch.setattr(report_methods, "masked_input_accuracy", measured)
    assert "the images of other subjects in the same fold" in unescape("".join(method.masked(maps)))
    for fold, (network, x, y, means) in enumerate(calls):
        assert network is method.data.found.models[fold]
        held_out = np.arange(4 * fold, 4 * fold + 4)
        np.testing.assert_array_equal(x[..., 0], method.data.volumes[held_out])
        assert y.tolist() == [0, 1, 0, 1]
        wanted = [
            (2 * maps[own] + maps[others].sum(axis=0)) / 4
            for own, others in zip(
                held_out[[2, 3, 0, 1]], held_out[[[1, 3], [0, 2]] * 2], strict=True
            )
        ]
        np.testing.assert_allclose(means, wanted, atol=1e-6)
    assert len(calls) == 2


def test_a_fold_with_one_subject_of_a_class_has_no_mean_of_others(parts):
    method, maps = parts
    method.data.explained.table["subject"] = method.data.explained.table["label"]
    told = "".join(method.masked(maps))
    assert "a fold needs maps of two subjects of each of its classes" in told
    assert "<table" not in told


def test_masks_without_a_common_voxel(parts):
    method, maps = parts
    brains = method.data.brains
    brains[0] = False
    brains[0, 0] = True  # one mask of a small region empties the intersection, and not the majority
    brains[1, 0] = False
    assert "<table" in "".join(method.agreement(maps))
    brains[:] = False
    for row in range(8):
        brains[row, row] = True
    told = "".join(method.agreement(maps))
    assert "no voxel is in most of the brains" in told and "<table" not in told


def test_what_a_mean_map_tells_of_the_decision(parts, monkeypatch):
    method, maps = parts
    for accuracies, message in (
        ([0.9, 0.9, 0.6, 0.9, 0.6, 0.5], "m: the mean map does not show what decides"),
        ([0.9, 0.9, 0.7, 0.9, 0.6, 0.5], "m: leaving the mean map's part out costs no accuracy"),
        ([0.95, 0.9, 0.8, 0.7, 0.6, 0.5], "m: leaving the mean map's part out costs 0.20"),
    ):
        table = pd.DataFrame({"accuracy": accuracies, "seen": 0.1}, index=ROWS)
        monkeypatch.setattr(report_methods, "masked_input_accuracy", lambda *_, t=table, **__: t)
        told = unescape("".join(method.masked(maps)))
        assert "brain without the map's part" in told and "whole region" not in told
        assert method.verdicts.pop().startswith(message) and not method.verdicts


def test_what_a_mean_map_is_called(parts, monkeypatch):
    method, maps = parts
    method.data.background = SimpleNamespace(get_fdata=lambda: maps[0], affine=np.eye(4))
    method.data.mean_brain = True
    monkeypatch.setattr(plotting, "volume_mosaic", lambda *_, title, **__: title)
    monkeypatch.setattr(report_methods, "page_figure", lambda figure, text: figure)
    mean = SimpleNamespace(get_fdata=lambda: maps[0])
    assert method._mosaic(1, mean) == "mean map of class 1, 4 images"
    method.data.explained.table["explained"] = [1, 1, 1, 1, 0, 1, 0, 1]
    assert method._mosaic(1, mean) == "evidence for 1, 6 images (of which 4 are labelled 1)"


def test_folds_that_do_not_agree(parts):
    method, maps = parts
    list(method.agreement(maps))
    assert "the folds' mean maps do not agree" in method.verdicts.pop()
    maps[4:] = maps[:4]
    assert "0 and 1" in "".join(method.agreement(maps)) and not method.verdicts


def test_a_report_removes_what_an_earlier_one_left(tmp_path):
    foreign = tmp_path / "subjects" / "mine.html"
    (tmp_path / "subjects").mkdir()
    foreign.write_text("")

    def report(*names):
        written = set()
        with own_files(tmp_path, written):
            for name in names:
                (tmp_path / "subjects" / name).write_text("")
                written.add(f"subjects/{name}")

    def files():
        return {path.name for path in (tmp_path / "subjects").iterdir()}

    report("a.html", "b.html")
    report("b.html", "c.html")
    assert files() == {"mine.html", "b.html", "c.html"}
    with pytest.raises(OSError), own_files(tmp_path, set()):  # broken off: nothing is lost
        raise OSError
    assert files() == {"mine.html", "b.html", "c.html"}
    outside = tmp_path / "kept.txt"
    outside.write_text("")
    note = {
        "files": [
            "kept.txt",
            "subjects/../kept.txt",
            str(outside),
            "subjects/..",
            "subjects/b.html",
        ]
    }
    (tmp_path / "report_files.json").write_text(json.dumps(note))
    report()
    assert files() == {"mine.html", "c.html"} and outside.is_file()


@pytest.mark.parametrize("text", ["../x", "a/b", "..", "", "a:b", "x" * 300, ".hidden", "a\\b"])
def test_names_of_files(tmp_path, text):
    name = file_name(text)
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    (tmp_path / name).write_text("")
    assert not name.startswith(".") and len(name.encode()) < 240
    assert file_name(text + "/") != file_name(text + ":")


def test_names_of_files_differ():
    texts = [("a", "b_c"), ("a_b", "c"), ("d", "e"), ("D", "e"), ("f", "g")]
    names = file_names(texts)
    assert len({name.casefold() for name in names}) == 5 and names[-1] == "f_g"
