"""Mean maps in a template's space, and region tables, against closed forms and nibabel's resampling."""

import nibabel
import numpy as np
import pytest
from nibabel.processing import resample_from_to
from scipy.stats import t

from keras_pli.volume import mean_map, region_table

TEMPLATE = nibabel.Nifti1Image(
    np.zeros((9, 8, 7), np.float32), nibabel.affines.from_matvec(2 * np.eye(3), (-8, -7, -6))
)


def turned(seed):
    """An oblique affine with voxels that are no cubes, the first axis to the left, over the template."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(np.eye(3) + 0.15 * random.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.diag(rotation))
    matrix = rotation @ np.diag([-1.5, 2.0, 2.5])
    middle = np.array([7, 6, 5])
    return nibabel.affines.from_matvec(matrix, -matrix @ middle)


class TestMeanMap:
    def test_a_linear_field_stays_what_it_is_under_any_affines(self):
        """Its values are known in millimetres, and linear interpolation is exact for it."""
        slope = np.array([0.3, -0.2, 0.5])
        affines = [turned(seed) for seed in range(3)]
        shapes = [(15, 13, 11), (16, 13, 12), (15, 14, 11)]
        maps = []
        for affine, shape in zip(affines, shapes, strict=True):
            voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
            maps.append(nibabel.affines.apply_affine(affine, voxels) @ slope + 20)
        found = mean_map(maps, affines, TEMPLATE)
        voxels = np.stack(np.meshgrid(*map(np.arange, TEMPLATE.shape), indexing="ij"), axis=-1)
        wanted = nibabel.affines.apply_affine(TEMPLATE.affine, voxels) @ slope + 20
        values = found.get_fdata()
        inner = (slice(2, -2),) * 3
        np.testing.assert_allclose(values[inner], wanted[inner], atol=1e-3)
        np.testing.assert_array_equal(found.affine, TEMPLATE.affine)
        assert found.get_data_dtype() == np.float32

    def test_equals_the_mean_of_what_nibabel_resamples(self):
        random = np.random.default_rng(0)
        maps, affines = random.normal(size=(2, 22, 20, 18)), [turned(0), turned(1)]
        affines = [affine.copy() for affine in affines]
        for affine in affines:  # wide enough to cover all of the template
            affine[:3, 3] = -affine[:3, :3] @ np.array([10.5, 9.5, 8.5])
        found = mean_map(maps, affines, TEMPLATE).get_fdata()
        wanted = np.mean(
            [
                resample_from_to(nibabel.Nifti1Image(m, a), TEMPLATE, order=1).get_fdata()
                for m, a in zip(maps, affines, strict=True)
            ],
            axis=0,
        )
        np.testing.assert_allclose(found, wanted, atol=1e-4)

    def test_what_a_grid_does_not_cover_is_left_out(self):
        affine = TEMPLATE.affine
        far = affine.copy()
        far[0, 3] += 8  # begins at the fourth voxel
        found = mean_map([np.ones((9, 8, 7)), np.full((9, 8, 7), 3.0)], [affine, far], TEMPLATE)
        np.testing.assert_allclose(found.get_fdata()[:4], 1, atol=1e-6)
        np.testing.assert_allclose(found.get_fdata()[4:], 2, atol=1e-6)
        alone = mean_map([np.ones((9, 8, 7))], far, TEMPLATE).get_fdata()
        assert not alone[:4].any()

    def test_shares_let_each_subject_count_the_same(self):
        maps = np.stack([np.ones((9, 8, 7)), np.full((9, 8, 7), -100.0), np.zeros((9, 8, 7))])
        found = mean_map(maps, TEMPLATE, TEMPLATE, scaling="share").get_fdata()
        np.testing.assert_allclose(found, 0, atol=1e-9)
        np.testing.assert_allclose(
            mean_map(maps[:1], [TEMPLATE], TEMPLATE, scaling="share").get_fdata(), 1 / 504
        )

    @pytest.mark.slow
    def test_reads_a_template_and_has_one_of_its_own(self, tmp_path):
        nibabel.save(TEMPLATE, tmp_path / "template.nii.gz")
        found = mean_map(np.ones((1, 9, 8, 7)), TEMPLATE.affine, tmp_path / "template.nii.gz")
        assert found.shape == (9, 8, 7)
        standard = mean_map(np.ones((1, 9, 8, 7)), TEMPLATE.affine)
        assert np.allclose(standard.header.get_zooms(), 2)
        assert standard.shape == (99, 117, 95)

    @pytest.mark.parametrize(
        ("affines", "template", "message"),
        [
            (np.eye(3), TEMPLATE, r"\(4, 4\), or \(2, 4, 4\).*\(3, 3\)"),
            (np.stack([np.eye(4)] * 3), TEMPLATE, r"\(2, 4, 4\).*\(3, 4, 4\)"),
            (np.zeros((4, 4)), TEMPLATE, r"affines\[0\]` must be an invertible matrix"),
            (np.eye(4), np.zeros((3, 3, 3)), "`template` must be a nibabel image.*ndarray"),
        ],
    )
    def test_what_makes_no_sense(self, affines, template, message):
        with pytest.raises(ValueError, match=message):
            mean_map(np.ones((2, 9, 8, 7)), affines, template)


LABELS = np.zeros((4, 5, 6), np.int16)
LABELS[0], LABELS[1, :2] = 7, 2
NAMES = {7: "left", 2: "right"}


class TestRegionTable:
    def test_by_hand(self):
        random = np.random.default_rng(0)
        maps = random.normal(size=(5, 4, 5, 6))
        affine = nibabel.affines.from_matvec(np.diag([2.0, 3.0, -4.0]), (1, 2, 3))
        table = region_table(maps, LABELS, NAMES, affine=affine).set_index("region")
        assert list(table.index) == ["right", "left", "elsewhere"]
        assert (table["class"] == "all").all()
        for name, label in {"right": 2, "left": 7, "elsewhere": 0}.items():
            inside, row = label == LABELS, table.loc[name]
            shares = np.abs(maps[:, inside]).sum(axis=1) / np.abs(maps).sum(axis=(1, 2, 3))
            assert row["mean"] == pytest.approx(maps[:, inside].mean())
            assert row["share"] == pytest.approx(shares.mean())
            half = t.ppf(0.975, 4) * shares.std(ddof=1) / np.sqrt(5)
            assert row["high"] - row["share"] == pytest.approx(half)
            assert row["voxels"] == inside.sum()
            assert row["volume_ml"] == pytest.approx(inside.sum() * 24 / 1000)
            assert row["enrichment"] == pytest.approx(shares.mean() / inside.mean())
        assert table["share"].sum() == pytest.approx(1)

    def test_outside_the_brain_has_a_row_of_its_own(self):
        maps = np.ones((2, 4, 5, 6))
        brain = np.zeros((2, 4, 5, 6), bool)
        brain[0, :2], brain[1, :3] = True, True
        table = region_table(maps, LABELS, brain=brain).set_index("region")
        assert list(table.index) == ["2", "7", "elsewhere", "outside the brain"]
        assert table.loc["outside the brain", "share"] == pytest.approx((0.5 + 0.25) / 2)
        assert table["share"].sum() == pytest.approx(1)
        assert table["voxels"].sum() == pytest.approx(120)
        assert np.isnan(table["volume_ml"]).all()
        np.testing.assert_allclose(table["enrichment"], 1)

    def test_enrichment_is_that_within_the_brain(self):
        brain = np.zeros((4, 5, 6), bool)
        brain[:2] = True  # 60 voxels: 30 of label 7, 12 of label 2, 18 of none
        maps = np.full((1, 4, 5, 6), 5.0)
        maps[:, :2] = 1.0
        maps[:, 0] = 3.0
        table = region_table(maps, LABELS, brain=brain).set_index("region")
        wanted = {
            "7": 90 / 420,
            "2": 12 / 420,
            "elsewhere": 18 / 420,
            "outside the brain": 300 / 420,
        }
        assert table["share"].to_dict() == pytest.approx(wanted)
        wanted = {"7": 1.5, "2": 0.5, "elsewhere": 0.5, "outside the brain": 300 / 420 / 0.5}
        assert table["enrichment"].to_dict() == pytest.approx(wanted)
        maps[:, 2:] = 500.0  # a skull that takes all
        after = region_table(maps, LABELS, brain=brain).set_index("region")
        assert after["enrichment"][:3].to_dict() == pytest.approx(table["enrichment"][:3].to_dict())

    def test_maps_of_nothing_in_the_brain_have_no_enrichment(self):
        brain, maps = np.zeros((4, 5, 6), bool), np.zeros((1, 4, 5, 6))
        brain[:2], maps[:, 2:] = True, 1.0
        table = region_table(maps, LABELS, brain=brain).set_index("region")
        assert np.isnan(table["enrichment"][:3]).all()
        assert table.loc["outside the brain", "enrichment"] == pytest.approx(2)

    def test_grids_of_their_own(self):
        affines = np.stack([np.eye(4), np.eye(4)])
        affines[1, 0, 3] = 1.0  # one voxel on: the second map lacks the plane of label 7
        image = nibabel.Nifti1Image(LABELS, np.eye(4))
        table = region_table(np.ones((2, 4, 5, 6)), image, affine=affines).set_index("region")
        assert table["voxels"].to_dict() == {"2": 12, "7": 15, "elsewhere": 93}
        np.testing.assert_allclose(table["volume_ml"], table["voxels"] / 1000)
        np.testing.assert_allclose(table["enrichment"], 1)
        with pytest.raises(ValueError, match="each map has an affine of its own"):
            region_table(np.ones((2, 4, 5, 6)), LABELS, affine=affines)

    def test_classes_have_rows_of_their_own(self):
        maps = np.zeros((4, 4, 5, 6))
        maps[:2, 0], maps[2, 1], maps[3] = 1, 1, 0
        table = region_table(maps, LABELS, NAMES, classes=["a", "a", "b", "b"])
        shares = table.set_index(["class", "region"])["share"]
        assert shares["a", "left"] == 1
        assert shares["b", "right"] == pytest.approx(12 / 30)  # the map of zeros has none
        assert (table["samples"] == 2).all()

    def test_a_label_image_on_another_grid_is_resampled(self, tmp_path):
        affine = nibabel.affines.from_matvec(2 * np.eye(3), (0, 0, 0))
        fine = np.repeat(np.repeat(np.repeat(LABELS, 2, 0), 2, 1), 2, 2)
        image = nibabel.Nifti1Image(fine, nibabel.affines.from_matvec(np.eye(3), (-0.5,) * 3))
        nibabel.save(image, tmp_path / "labels.nii.gz")
        maps = np.random.default_rng(0).normal(size=(2, 4, 5, 6))
        wanted = region_table(maps, LABELS, NAMES, affine=affine)
        for given in (image, tmp_path / "labels.nii.gz"):
            found = region_table(maps, given, NAMES, affine=affine)
            assert found.equals(wanted)

    def test_a_full_table_of_names_and_an_axis_of_one_image(self):
        maps = np.random.default_rng(0).normal(size=(2, 4, 5, 6))
        found = region_table(maps, LABELS[..., None], {**NAMES, 0: "no", 3: "other", 99: "more"})
        assert found.equals(region_table(maps, LABELS, NAMES))
        image = nibabel.Nifti1Image(LABELS[..., None], np.eye(4))
        assert region_table(maps, image, NAMES)["region"].equals(found["region"])

    def test_a_region_lost_on_the_grid_keeps_its_row(self):
        fine = np.repeat(np.repeat(np.repeat(LABELS, 3, 0), 3, 1), 3, 2)
        fine[9, 12, 15] = 40  # a corner, between the centres of the coarse voxels
        image = nibabel.Nifti1Image(fine, nibabel.affines.from_matvec(np.eye(3), (-1,) * 3))
        maps = np.random.default_rng(0).normal(size=(2, 4, 5, 6))
        affine = np.diag([3.0, 3, 3, 1])
        table = region_table(maps, image, {**NAMES, 40: "small"}, affine=affine)
        lost = table.set_index("region").loc["small"]
        assert (lost["voxels"], lost["share"]) == (0, 0) and np.isnan(lost["enrichment"])
        others = table[table["region"] != "small"].reset_index(drop=True)
        assert others.equals(region_table(maps, LABELS, NAMES, affine=affine))

    def test_labels_and_names_like_those_of_the_tables_own_rows(self):
        labels = np.where(LABELS == 2, -1, LABELS)
        brain = np.ones(LABELS.shape, bool)
        brain[-1] = False
        names = {-1: "elsewhere", 7: "outside the brain"}
        table = region_table(np.ones((1, 4, 5, 6)), labels, names, brain=brain)
        assert table["region"].tolist() == [
            "elsewhere (-1)",
            "outside the brain (7)",
            "elsewhere",
            "outside the brain",
        ]
        assert table["label"].tolist() == [-1, 7, 0, -2]
        assert table["voxels"].tolist() == [12, 30, 48, 30]

    def test_a_label_image_gives_the_affine(self):
        image = nibabel.Nifti1Image(LABELS, np.diag([10.0, 10, 10, 1]))
        table = region_table(np.ones((1, 4, 5, 6)), image)
        np.testing.assert_allclose(table["volume_ml"], [12, 30, 78])

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"label_image": np.zeros((4, 5, 6), int)}, ValueError, "has no region"),
            ({"label_image": LABELS + 0.5}, ValueError, "whole numbers.*float64"),
            ({"label_image": LABELS[:2]}, ValueError, r"\(4, 5, 6\).*\(2, 5, 6\)"),
            (
                {"names": {3: "other"}},
                ValueError,
                "only labels that the image has not: 3. It has 2, 7",
            ),
            ({"label_image": np.stack([LABELS] * 2, -1)}, ValueError, r"one image.*\(4, 5, 6, 2\)"),
            ({"brain": np.ones((4, 5, 6))}, TypeError, "`brain` must be boolean"),
            ({"classes": [1]}, ValueError, "`classes` must have one entry for each of the 2"),
            ({"affine": np.zeros((4, 4))}, ValueError, "`affine` must be an invertible"),
        ],
    )
    def test_what_makes_no_sense(self, change, error, message):
        given = {"maps": np.ones((2, 4, 5, 6)), "label_image": LABELS, **change}
        with pytest.raises(error, match=message):
            region_table(**given)
