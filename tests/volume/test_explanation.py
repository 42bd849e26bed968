import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from cohorts import GRID as PREPARE
from cohorts import build, phantoms

from keras_pli.attribution import GradCAM, Saliency
from keras_pli.volume import (
    CohortExplanation,
    cohort_report,
    cross_validate,
    explain_cohort,
    read_cohort,
)

METHODS = {"saliency": Saliency, "grad_cam": GradCAM}

pytestmark = pytest.mark.slow  # by default, test_report_parts.py explains a cohort


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cohort")


@pytest.fixture(scope="module")
def cohort(folder):
    return read_cohort(phantoms().write(folder, varied=True))


@pytest.fixture(scope="module")
def found(cohort):
    return cross_validate(cohort, PREPARE, build=build, folds=2, epochs=1)


@pytest.fixture(scope="module")
def explained(cohort, found, tmp_path_factory):
    out = tmp_path_factory.mktemp("maps")
    return explain_cohort(found, cohort, PREPARE, METHODS, out, target="label", batch_size=4)


def test_maps_are_those_of_the_network_that_has_not_seen_the_image(cohort, found, explained):
    x, codes, brains = cohort.arrays(PREPARE)
    maps = explained.maps("saliency")
    for row in (0, 3, 7):
        alone = Saliency(found.model_of(row))(x[row : row + 1], target=int(codes[row]))
        expected = np.asarray(alone.attributions)[0, ..., 0]
        np.testing.assert_allclose(maps[row], expected, atol=1e-5 * abs(expected).max())
    np.testing.assert_allclose(explained.volumes, x[..., 0], atol=1e-6)
    np.testing.assert_array_equal(explained.brains, brains)
    assert explained.table["explained"].tolist() == cohort.table["label"].tolist()


def test_files_lie_on_the_subjects_images(cohort, explained):
    for position in range(len(cohort)):
        image = nibabel.load(cohort.paths[position])
        stored = nibabel.load(explained.file("grad_cam", position))
        assert stored.shape == image.shape
        np.testing.assert_allclose(stored.affine, image.affine)
    # The strongest place of the map and of the file are one place of the world.
    volume = cohort.volume(3, PREPARE)
    file = nibabel.load(explained.file("grad_cam", 3))
    heat = explained.maps("grad_cam")[3]
    weigh = [
        np.average(
            nibabel.affines.apply_affine(affine, np.argwhere(values > 0)),
            axis=0,
            weights=values[values > 0] ** 4,
        )
        for values, affine in ((heat, volume.affine), (file.get_fdata(), file.affine))
    ]
    voxel = np.linalg.norm(volume.affine[:3, :3], axis=0)
    assert (abs(weigh[0] - weigh[1]) < voxel).all()


def test_the_folder_holds_the_result(explained):
    loaded = CohortExplanation.load(explained.folder)
    assert loaded.methods == explained.methods
    assert loaded.table.astype(str).equals(explained.table.astype(str))
    np.testing.assert_array_equal(loaded.maps("grad_cam"), explained.maps("grad_cam"))
    np.testing.assert_array_equal(loaded.map("grad_cam", 5), explained.maps("grad_cam")[5])


@pytest.mark.slow
def test_what_is_done_is_not_done_again(cohort, found, tmp_path):
    calls = []

    class Counted(Saliency):
        def __call__(self, x, target=None, **options):
            calls.append(len(x))
            if sum(calls) > 8:
                raise KeyboardInterrupt
            return super().__call__(x, target, **options)

    options = {"rows": range(12), "batch_size": 4}
    with pytest.raises(KeyboardInterrupt):
        explain_cohort(found, cohort, PREPARE, {"saliency": Counted}, tmp_path, **options)
    with pytest.raises(ValueError, match="no finished maps"):
        CohortExplanation.load(tmp_path)
    calls[:] = [-12]  # twelve more are allowed
    resumed = explain_cohort(found, cohort, PREPARE, {"saliency": Counted}, tmp_path, **options)
    assert 0 < sum(calls[1:]) <= 8
    whole = explain_cohort(found, cohort, PREPARE, {"saliency": Saliency}, tmp_path / "other")
    np.testing.assert_allclose(resumed.maps("saliency"), whole.maps("saliency"), atol=1e-6)


@pytest.mark.slow
def test_a_lost_file_is_written_again(cohort, found, tmp_path):
    one = {"saliency": Saliency}
    explained = explain_cohort(found, cohort, PREPARE, one, tmp_path, rows=[2, 5])
    file = explained.file("saliency", 1)
    before = nibabel.load(file).get_fdata()
    file.unlink()
    explain_cohort(found, cohort, PREPARE, one, tmp_path, rows=[2, 5])
    np.testing.assert_allclose(nibabel.load(file).get_fdata(), before, atol=1e-6)


@pytest.mark.slow
def test_more_methods_and_images_leave_the_others_as_they_are(cohort, found, tmp_path, monkeypatch):
    first, second, third = np.flatnonzero(found.predictions["fold"] == 0)[:3].tolist()
    before = explain_cohort(
        found, cohort, None, {"saliency": Saliency}, tmp_path, rows=[first, third]
    )
    kept = before.maps("saliency")
    made = []
    call = Saliency.__call__
    monkeypatch.setattr(
        Saliency, "__call__", lambda *a, **b: made.append(len(a[1])) or call(*a, **b)
    )
    both = explain_cohort(found, cohort, PREPARE, METHODS, tmp_path, rows=[second, third, first])
    assert made == [1]
    np.testing.assert_array_equal(both.maps("saliency")[[2, 1]], kept)
    assert both.maps("grad_cam").shape == both.volumes.shape == (3, *kept.shape[1:])
    assert both.table["row"].tolist() == [second, third, first]


def test_a_call_with_less_takes_nothing_from_what_is_loaded(cohort, found, explained, tmp_path):
    folder = shutil.copytree(explained.folder, tmp_path / "maps")
    less = explain_cohort(
        found, cohort, None, {"saliency": Saliency}, folder, target="label", rows=[3, 0]
    )
    assert less.table["row"].tolist() == [3, 0] and less.methods == ("saliency",)
    loaded = CohortExplanation.load(folder)
    assert loaded.methods == ("saliency", "grad_cam") and len(loaded) == len(cohort)
    assert loaded.table.astype(str).equals(explained.table.astype(str))
    # A method that lacks some of the images is no part of it any more.
    shutil.rmtree(folder / "grad_cam" / "arrays")
    explain_cohort(found, cohort, None, {"saliency": Saliency}, folder, target="label", rows=[0])
    assert CohortExplanation.load(folder).methods == ("saliency",)


@pytest.mark.slow
def test_classes_by_their_names(cohort, found, tmp_path):
    named = read_cohort(cohort.table.assign(label=np.array(["ill", "well"])[cohort.labels]))
    options = {"methods": {"saliency": Saliency}, "rows": [0]}
    one = explain_cohort(found.models[0], named, PREPARE, out=tmp_path, target="well", **options)
    assert one.table["explained"].tolist() == ["well"]
    explain_cohort(found.models[0], named, PREPARE, out=tmp_path, target=1, **options)
    message = r"of the target 'well', and now 'label'.*choose another"
    with pytest.raises(ValueError, match=message):
        explain_cohort(
            found.models[0], named, PREPARE, {"grad_cam": GradCAM}, tmp_path, target="label"
        )
    message = r"one of the classes 'ill', 'well' as text.*from 0 to 1. Received: 'Well'"
    with pytest.raises(ValueError, match=message):
        explain_cohort(found.models[0], named, PREPARE, out=tmp_path, target="Well", **options)


def test_it_is_told_in_a_line(explained):
    text = f"CohortExplanation(12 images by 'saliency', 'grad_cam', in {explained.folder})"
    assert repr(explained) == text


def test_what_is_gone_is_told(cohort, found, explained, tmp_path):
    folder = shutil.copytree(explained.folder, tmp_path / "maps")
    whole = CohortExplanation.load(folder)
    shutil.rmtree(folder / "saliency" / "arrays")
    with pytest.raises(ValueError, match=r"part-00000.npz is gone.* makes again what is missing"):
        whole.maps("saliency")
    with pytest.raises(ValueError, match=r"part-00000.npz is gone"):
        CohortExplanation.load(folder)
    (folder / "result.json").unlink()
    with pytest.raises(ValueError, match="no finished maps"):
        CohortExplanation.load(folder)


class TestErrors:
    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (["b", "a"], "of the classes 0, 1, in this order. The cohort's are 'a', 'b'"),
            ([1, 0], "labels differ in the positions 0, 1, 2"),
        ],
    )
    def test_other_classes_or_labels(self, cohort, found, tmp_path, labels, message):
        table = cohort.table.assign(label=[labels[code] for code in cohort.labels])
        with pytest.raises(ValueError, match=message):
            explain_cohort(found, read_cohort(table), PREPARE, METHODS, tmp_path)

    def test_other_images_of_the_same_subjects(self, cohort, found, tmp_path):
        table = cohort.table.assign(
            **{name: cohort.table[name].to_numpy()[::-1] for name in ("path", "mask")}
        )
        with pytest.raises(ValueError, match="of other images: of the same subjects and labels"):
            explain_cohort(found, read_cohort(table), PREPARE, METHODS, tmp_path)

    def test_another_preprocessing(self, cohort, found, tmp_path):
        other = replace(PREPARE, normalization="percentile")
        message = r"that of the training.*'normalization': 'percentile'.*training.*'zscore'"
        with pytest.raises(ValueError, match=message):
            explain_cohort(found, cohort, other, METHODS, tmp_path)
        with pytest.raises(ValueError, match="must be given for a network"):
            explain_cohort(found.models[0], cohort, None, METHODS, tmp_path)

    @pytest.mark.parametrize(
        ("methods", "error", "message"),
        [
            ({"mine": lambda network: None}, TypeError, r"methods\['mine'\].*returned: None"),
            ({"mine": lambda network: network}, TypeError, r"methods\['mine'\].*returned: <Func"),
            ({"mine": "saliency"}, TypeError, r"methods\['mine'\].*is: 'saliency'"),
            ({1: Saliency}, TypeError, "Names of `methods` must be texts. Received: 1"),
            ([Saliency], TypeError, "by name.*Received: list"),
            ({}, ValueError, "at least one method"),
            ({"a": Saliency, "A": Saliency}, ValueError, "Received: 'a', 'A'"),
            ({"volumes": Saliency}, ValueError, "none called 'volumes'"),
        ],
    )
    def test_what_is_no_method(self, cohort, found, tmp_path, methods, error, message):
        with pytest.raises(error, match=message):
            explain_cohort(found, cohort, PREPARE, methods, tmp_path)

    def test_maps_of_another_training(self, found, explained, tmp_path):
        other = replace(found, models=found.models[::-1])
        with pytest.raises(ValueError, match="explain other networks than those of the cross"):
            cohort_report(other, explained, tmp_path)
        assert not list(tmp_path.iterdir())

    def test_other_settings(self, cohort, found, explained):
        with pytest.raises(ValueError, match="were made otherwise"):
            explain_cohort(found, cohort, PREPARE, METHODS, explained.folder, target="predicted")

    def test_other_options_of_a_method(self, cohort, found, explained):
        methods = {"grad_cam": lambda network: GradCAM(network, weights="positive")}
        message = r"otherwise: {'method': {'weights': 'mean'}}, and now .*'positive'}}\. Delete"
        with pytest.raises(ValueError, match=message):
            explain_cohort(found, cohort, None, methods, explained.folder, target="label")

    def test_another_network(self, cohort, found, explained):
        with pytest.raises(ValueError, match=r"made otherwise.*delete .* whole"):
            explain_cohort(found.models[0], cohort, PREPARE, METHODS, explained.folder)

    def test_another_cohort(self, cohort, found, tmp_path):
        with pytest.raises(ValueError, match="is of another cohort"):
            explain_cohort(found, cohort.select([1, 0]), PREPARE, METHODS, tmp_path)

    @pytest.mark.parametrize("rows", [[], [12], [-1], [1, 1], [0.5], [[0]]])
    def test_rows(self, cohort, found, tmp_path, rows):
        with pytest.raises(ValueError, match="`rows` must be different positions from 0 to 11"):
            explain_cohort(found, cohort, PREPARE, METHODS, tmp_path, rows=rows)

    def test_classes(self, cohort, found, tmp_path):
        with pytest.raises(ValueError, match="`target`"):
            explain_cohort(found, cohort, PREPARE, METHODS, tmp_path, target=2)

    def test_methods_that_were_not_asked_for(self, explained):
        with pytest.raises(ValueError, match="one of 'saliency', 'grad_cam'"):
            explained.maps("lime")


@pytest.fixture(scope="module")
def page(found, explained, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    cohort_report(found, explained, out, regions=folder / "regions.nii.gz", subjects=2)
    return out


@pytest.mark.slow
def test_the_page_and_what_lies_beside_it(page, found):
    text = (page / "cohort_report.html").read_text("utf-8")
    assert f"Accuracy on held-out images {found.accuracy:.3f}" in text
    assert "12 held-out images of 12 subjects" in text
    for heading in ("held-out accuracy", "AUC", "sensitivity", "Spearman", "Dice", "share seen"):
        assert f"<th>{heading}" in text
    assert "<th>brain</th>" in text and "whole region" not in text and "validation_" not in text
    assert text.index("Subjects</h2>") < text.index("saliency</h2>")
    assert "of the attribution: " in text and "saliency: " in text
    for heading in ("Accuracy", "Brain size", "saliency", "grad_cam", "Regions", "Subjects"):
        assert f"{heading}</h" in text
    linked = {file.name for file in (page / "subjects").iterdir()}
    for file in (page / "subjects").iterdir():
        of_subject = file.read_text("utf-8")
        title = f"<title>Subject {file.stem.removesuffix('_T1w')}, {file.stem}</title>"
        assert title in of_subject
        assert "(saliency) orange speaks for the explained class, blue against it" in of_subject
    assert len(linked) == 2 and all(f'href="subjects/{name}"' in text for name in linked)


@pytest.mark.slow
def test_mean_maps_are_means(page, explained, cohort):
    labels = explained.table["explained"].to_numpy()
    maps = explained.maps("saliency")[labels == 1]
    shares = maps / abs(maps).sum(axis=(1, 2, 3), keepdims=True)
    stored = nibabel.load(page / "mean_maps" / "saliency_1.nii.gz").get_fdata()
    if np.allclose(explained.affines, explained.affines[0], atol=1e-3):
        np.testing.assert_allclose(stored, shares.mean(axis=0), atol=1e-6)
    assert stored.shape == maps.shape[1:]
