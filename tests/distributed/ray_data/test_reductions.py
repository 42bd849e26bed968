"""Reductions of Ray data sets: equal to NumPy on all rows, and to the local calls of evaluation."""

import keras
import numpy as np
import pandas as pd
import pyarrow
import pytest

from keras_pli.attribution import IntegratedGradients, Saliency
from keras_pli.evaluation import deletion_curve, insertion_curve, model_randomization_test
from keras_pli.intervals import mean_interval

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.usefixtures("cluster")
SAMPLES = 30


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    return keras.Sequential(
        [keras.Input((6, 5, 1)), keras.layers.Conv2D(2, 3, activation="relu"), *layers]
    )


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return str(path)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(SAMPLES, 6, 5, 1)).astype("float32")


@pytest.fixture(scope="module")
def rows(cluster, images):
    labels = np.arange(SAMPLES) % 3
    listed = [
        {"image": image, "label": int(label), "name": "odd" if label % 2 else "even"}
        for image, label in zip(images, labels, strict=True)
    ]
    return ray.data.from_items(listed, override_num_blocks=4)


class TestMeanMaps:  # the README's test compares one by default
    @pytest.mark.slow
    def test_by_a_column_far_from_zero(self, images, rows):
        from keras_pli.distributed import mean_maps

        maps = 1e6 + images.astype("float64")
        listed = [{**row, "maps": one} for row, one in zip(rows.take_all(), maps, strict=True)]
        data = ray.data.from_items(listed, override_num_blocks=7)
        for by, groups in (("label", (0, 1, 2)), ("name", ("even", "odd")), (None, ("all",))):
            found = mean_maps(data, by=by, column="maps")
            assert found.groups == groups
            for place, group in enumerate(groups):
                own = images[[by is None or row[by] == group for row in listed]].astype("float64")
                assert found.counts[place] == len(own)
                np.testing.assert_allclose(found[group] - 1e6, own.mean(axis=0), atol=1e-9)
                spread = own.std(axis=0, ddof=1)
                np.testing.assert_allclose(found.deviations[place], spread, rtol=1e-8)
                np.testing.assert_allclose(
                    found.errors[place], spread / np.sqrt(len(own)), rtol=1e-8
                )

    @pytest.mark.slow
    def test_what_it_shows(self, images):
        from keras_pli.distributed import mean_maps

        listed = [{"attributions": one, "label": i % 3} for i, one in enumerate(images)]
        found = mean_maps(ray.data.from_items(listed), by="label")
        assert repr(found) == "MeanMaps of 30 maps 6 × 5 × 1 by label, 3 groups"
        assert found.to_frame()["maps"].tolist() == [10, 10, 10]
        titles = [ax.get_title() for ax in found.plot().axes[:3]]
        assert titles == ["label 0, 10 maps", "label 1, 10 maps", "label 2, 10 maps"]
        assert "<img" in found._repr_html_()
        with pytest.raises(KeyError, match="no group 7"):
            found[7]

    @pytest.mark.slow
    def test_rows_with_an_error_are_left_out_and_counted(self, images):
        from keras_pli.distributed import mean_maps

        listed = [
            {
                "attributions": image if number % 10 else np.full_like(image, np.nan),
                "error": None if number % 10 else "cannot be decoded",
            }
            for number, image in enumerate(images)
        ]
        found = mean_maps(ray.data.from_items(listed, override_num_blocks=30))
        assert (found.counts.tolist(), found.left_out) == ([27], 3)
        good = [image for number, image in enumerate(images) if number % 10]
        np.testing.assert_allclose(found["all"], np.mean(good, axis=0, dtype="float64"), atol=1e-12)
        with pytest.raises(ValueError, match="no row with 'attributions'; 1 have an error"):
            mean_maps(ray.data.from_items(listed[:1]))

    def test_each_row_a_group(self):
        from keras_pli.distributed.ray_data.reductions.grouped_moments import PartialMoments

        names = np.random.default_rng(0).permutation(2_000)
        table = pyarrow.table({"x": names * 2.0, "by": [f"n{name}" for name in names]})
        found = PartialMoments("x", "by")(table)
        assert dict(zip(found["group"], found["mean"], strict=True)) == {
            f"n{name}": name * 2.0 for name in names
        }
        assert set(found["count"]) == {1}

    def test_refusals(self, rows, images):
        from keras_pli.distributed import mean_maps
        from keras_pli.distributed.ray_data.reductions.grouped_moments import PartialMoments

        with pytest.raises(TypeError, match=r"must be a ray\.data\.Dataset\. Received: ndarray"):
            mean_maps(images)
        with pytest.raises(ValueError, match=r"no column 'attributions'\. It has 'image'"):
            mean_maps(rows)
        for groups in ([0, None, 1], ["a", None, "b"], [0.5, 1.0, 1.5]):
            with pytest.raises(
                ValueError, match=r"'by' must hold one whole number or text.*no null"
            ):
                PartialMoments("x", "by")(pyarrow.table({"x": [1.0, 2.0, 3.0], "by": groups}))

    @pytest.mark.slow
    def test_maps_that_are_not_finite(self):
        from keras_pli.distributed import mean_maps

        holey = ray.data.from_items([{"attributions": np.full(3, np.nan)}])
        with pytest.raises(ray.exceptions.RayTaskError, match="must be finite"):
            mean_maps(holey)


class TestDeletionCurves:
    def local(self, model, images, measure):
        method = IntegratedGradients(model)
        return measure(method, images, method(images), steps=6)

    def check(self, found, local):
        np.testing.assert_array_equal(found.fractions, local.fractions)
        ends = np.array([mean_interval(scores) for scores in local.scores.T]).T
        for name, values in zip(("mean", "low", "high"), ends, strict=True):
            np.testing.assert_allclose(getattr(found, name), values, atol=1e-6)
        np.testing.assert_allclose(found.area, mean_interval(local.area), atol=1e-6)

    @pytest.mark.slow  # its actors take as long to start as all else here
    def test_equal_to_the_local_call(self, model, path, images, rows):
        from keras_pli.distributed import deletion_curves

        found = deletion_curves(
            rows, path, "integrated_gradients", column="image", steps=6, batch_size=7
        )
        assert found.samples == SAMPLES
        self.check(found, self.local(model, images, deletion_curve))
        assert "deletion at 7 shares; mean area 0." in repr(found)
        figure = found.plot()
        band = figure.axes[0].collections[0].get_paths()[0].vertices
        assert band[:, 1].min() == pytest.approx(found.low.min())
        (told,) = figure.axes[0].get_legend().get_texts()
        assert told.get_text().endswith(f"  mean of {SAMPLES} samples, 95 % interval")
        assert "<img" in found._repr_html_()

    @pytest.mark.slow
    def test_insertion_by_two_actors_with_a_bad_row(self, model, path, images, rows):
        from keras_pli.distributed import deletion_curves

        listed = [*rows.take_all(), {"image": np.full((6, 5, 1), np.nan, "float32")}]
        found = deletion_curves(
            ray.data.from_items(listed, override_num_blocks=5),
            path,
            IntegratedGradients,
            kind="insertion",
            column="image",
            steps=6,
            concurrency=2,
            on_error="column",
        )
        assert (found.samples, found.left_out) == (SAMPLES, 1)
        self.check(found, self.local(model, images, insertion_curve))

    def test_refusals(self, rows, path):
        from keras_pli.distributed import deletion_curves

        for options, message in (
            ({"kind": "removal"}, "'deletion', 'insertion'.*'removal'"),
            ({"steps": 0}, "steps"),
            ({"confidence": 1}, r"`confidence` must lie in \(0, 1\)"),
            ({"column": "images"}, "no column 'images'"),
        ):
            with pytest.raises(ValueError, match=message):
                deletion_curves(rows, path, "saliency", **{"column": "image", **options})


class TestRandomizationTest:
    def compare(self, found, local):
        pd.testing.assert_frame_equal(found.table, local.table, rtol=0, atol=1e-6)
        assert str(found) == str(local)
        assert found.threshold == local.threshold

    @pytest.mark.slow
    def test_seeds_shared_out_find_what_local_ones_find(self, model, path, images, rows):
        from keras_pli.distributed import randomization_test

        found = randomization_test(rows, path, "saliency", seeds=[4, 0], samples=8, column="image")
        local = model_randomization_test(Saliency, model, images[:8], seeds=[4, 0])
        self.compare(found, local)

    @pytest.mark.slow
    def test_several_methods_one_layer_at_a_time_of_the_labels(self, model, path, images, rows):
        from keras_pli.distributed import randomization_test

        methods = {"plain": Saliency, "paths": lambda model: IntegratedGradients(model, steps=4)}
        options = {"seeds": [5, 1, 2], "mode": "independent", "threshold": 0.3, "share": 0.2}
        found = randomization_test(
            rows, path, methods, samples=8, column="image", target="label", concurrency=2, **options
        )
        labels = np.arange(8) % 3
        self.compare(found, model_randomization_test(methods, model, images[:8], labels, **options))

    def test_refusals(self, rows, path):
        from keras_pli.distributed import randomization_test

        for error, options, message in (
            (ValueError, {"mode": "random"}, "'cascading', 'independent'.*'random'"),
            (ValueError, {"seeds": []}, "at least one seed"),
            (ValueError, {"samples": 0}, "samples"),
            (
                TypeError,
                {"method": {"one": Saliency}, "score": "output"},
                "made with their settings",
            ),
        ):
            given = {"method": "saliency", "column": "image", **options}
            with pytest.raises(error, match=message):
                randomization_test(rows, path, given.pop("method"), **given)
