import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from cohorts import PREPARE, build, phantoms, weights
from scipy.special import softmax
from sklearn.metrics import accuracy_score, roc_auc_score

from keras_pli.volume import (
    CohortError,
    CrossValidation,
    Preprocessing,
    RandomVolumeFlip,
    cross_validate,
    optimal_scales,
    read_cohort,
)
from keras_pli.volume.training import fold_training

SETTINGS = {"build": build, "folds": 2, "epochs": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return read_cohort(phantoms().write(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "run"


@pytest.fixture(scope="module")
def found(cohort, kept):
    return cross_validate(cohort, PREPARE, out=kept, **SETTINGS)


def test_each_image_is_judged_by_the_network_that_has_not_seen_it(cohort, found):
    x, codes, _ = cohort.arrays(PREPARE)
    for number, (_, validation) in enumerate(cohort.folds(2)):
        rows = np.flatnonzero(found.predictions["fold"] == number)
        assert set(found.predictions["subject"].iloc[rows]) == set(validation.subjects)
        logits = found.models[number].predict(x[rows], verbose=0)
        p = softmax(logits, axis=1)
        np.testing.assert_allclose(found.predictions[["p_0", "p_1"]].iloc[rows], p, atol=1e-4)
        scores = found.table.iloc[number]
        accuracy = accuracy_score(codes[rows], p.argmax(1))
        assert scores["validation_accuracy"] == pytest.approx(accuracy)
        auc = roc_auc_score(codes[rows], p[:, 1])
        assert scores["validation_auc"] == pytest.approx(auc)
        assert found.model_of(int(rows[0])) is found.models[number]


def test_the_tables_of_a_folder_are_the_result(found, kept):
    loaded = CrossValidation.load(kept)
    pd.testing.assert_frame_equal(loaded.predictions, found.predictions, check_dtype=False)
    pd.testing.assert_frame_equal(loaded.history, found.history)
    assert (loaded.classes, loaded.preprocessing) == (found.classes, found.preprocessing)
    for one, other in zip(loaded.models, found.models, strict=True):
        np.testing.assert_array_equal(weights(one), weights(other))


def test_an_interrupted_run_goes_on_and_gives_what_an_uninterrupted_one_gives(
    cohort, found, tmp_path, monkeypatch
):
    real, calls = fold_training.FoldTraining.fold, []

    def fold(self, train, validation, number):
        if number == 1 and not calls:
            calls.append(number)
            raise KeyboardInterrupt
        return real(self, train, validation, number)

    monkeypatch.setattr(fold_training.FoldTraining, "fold", fold)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(cohort, PREPARE, out=tmp_path / "run", **SETTINGS)
    with pytest.raises(ValueError, match="no finished cross-validation"):
        CrossValidation.load(tmp_path / "run")
    seen = []
    monkeypatch.setattr(
        fold_training.FoldTraining,
        "fold",
        lambda self, *parts: seen.append(parts[-1]) or real(self, *parts),
    )
    again = cross_validate(cohort, PREPARE, out=tmp_path / "run", **SETTINGS)
    assert seen == [1]
    for one, other in zip(again.models, found.models, strict=True):
        np.testing.assert_allclose(weights(one), weights(other), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 3},
        {"folds": 3},
        {"augmentation": [RandomVolumeFlip(axes=(0,))]},
        {"scaling": "quantile"},
        {"seed": 1},
    ],
    ids=str,
)
def test_other_options_are_not_mixed_with_what_is_kept(cohort, found, kept, change):
    with pytest.raises(ValueError, match="were made otherwise"):
        cross_validate(cohort, PREPARE, out=kept, **{**SETTINGS, **change})


def test_training_images_alone_are_scaled(cohort, monkeypatch):
    scaled, real = [], type(cohort).dataset

    def dataset(self, preprocessing, **options):
        scaled.append((set(self.subjects), options["scales"]))
        return real(self, preprocessing, **options)

    monkeypatch.setattr(type(cohort), "dataset", dataset)
    found = cross_validate(cohort, PREPARE, scaling="quantile", **{**SETTINGS, "epochs": 1})
    volumes = found.predictions["brain_volume"].to_numpy()
    for number, (train, _) in enumerate(cohort.folds(2)):
        (subjects, scales), *others = scaled[3 * number : 3 * number + 3]
        assert subjects == set(train.subjects)
        rows = found.predictions["fold"].to_numpy() != number
        np.testing.assert_allclose(scales, optimal_scales(volumes[rows], cohort.labels[rows]))
        assert all((factors == 1).all() for _, factors in others)
    assert (found.predictions["scale"] == 1).all()


@pytest.mark.slow
def test_a_reference_is_the_size_of_the_training_subjects_for_all(cohort):
    found = cross_validate(cohort, PREPARE, scaling="reference", **{**SETTINGS, "epochs": 1})
    table = found.predictions
    for fold in (0, 1):
        held_out = table["fold"] == fold
        mean = table["brain_volume"][~held_out].mean()
        scaled = table["brain_volume"] * table["scale"] ** 3
        np.testing.assert_allclose(scaled[held_out], mean)


def test_brain_volumes_are_those_of_the_masks(cohort, found):
    import nibabel

    for row in (0, 5):
        mask = nibabel.load(cohort.table["mask"].iloc[row])
        voxel = abs(np.linalg.det(mask.affine[:3, :3])) / 1000
        volume = found.predictions["brain_volume"].iloc[row]
        assert volume == pytest.approx((mask.get_fdata() > 0.5).sum() * voxel)


def test_size_correlation_is_that_within_classes_and_folds(found):
    rng = np.random.default_rng(0)
    label, fold = np.arange(80) % 2, np.arange(80) // 40
    size = 1500 + 200 * label + rng.normal(size=80) * 50
    by_class = 1 / (1 + np.exp(-(4 * label - 2 + rng.normal(size=80))))
    predictions = pd.DataFrame(
        {"label": label, "fold": fold, "brain_volume": size, "p_1": by_class}
    )

    def correlation(**columns):
        result = CrossValidation(
            predictions.assign(**columns), found.table, found.history, (), (0, 1), PREPARE
        )
        return result.size_correlation

    assert abs(correlation()) < 0.3  # though both grow with the class
    assert correlation(p_1=1 / (1 + np.exp(-(size - 1600) / 50))) > 0.99


@pytest.mark.slow
def test_an_encoder_trained_on_the_folds_training_images_is_the_start(cohort, monkeypatch):
    starts = []
    real = fold_training.transfer_encoder

    def transfer(autoencoder, network):
        real(autoencoder, network)
        starts.append(network.get_layer("conv_1").get_weights()[0].copy())
        return network

    monkeypatch.setattr(fold_training, "transfer_encoder", transfer)
    settings = {**SETTINGS, "epochs": 1, "learning_rate": 1e-6}
    found = cross_validate(cohort, PREPARE, pretraining_epochs=1, **settings)
    for start, network in zip(starts, found.models, strict=True):
        np.testing.assert_allclose(network.get_layer("conv_1").get_weights()[0], start, atol=1e-4)


class TestErrors:
    def test_all_damaged_files_are_named_before_anything_is_trained(self, cohort, tmp_path):
        folder = tmp_path / "cohort"
        shutil.copytree(cohort.table["path"].iloc[0].rpartition("/")[0], folder)
        (folder / "sub-0003_T1w.nii.gz").write_bytes(b"")
        (folder / "sub-0007_T1w.nii.gz").unlink()
        damaged = read_cohort(folder / "cohort.csv")
        with pytest.raises(CohortError) as raised:
            cross_validate(damaged, PREPARE, **SETTINGS)
        assert "row 2, sub-0003" in str(raised.value) and "row 6, sub-0007" in str(raised.value)

    def test_networks_of_other_outputs(self, cohort):
        def wrong(shape, classes, seed):
            return build(shape, classes + 1, seed)

        with pytest.raises(ValueError, match="must return a network of 2 logits"):
            cross_validate(cohort, PREPARE, **{**SETTINGS, "build": wrong})

    def test_sizes_without_masks(self, cohort):
        bare = read_cohort(cohort.table.drop(columns="mask"))
        with pytest.raises(ValueError, match="needs the brain of each image"):
            cross_validate(bare, Preprocessing(), scaling="quantile", **SETTINGS)

    @pytest.mark.parametrize("option", [{"epochs": 0}, {"folds": 1}, {"scaling": "best"}])
    def test_options(self, cohort, option):
        with pytest.raises(ValueError, match=next(iter(option))[:5].replace("folds", "count")):
            cross_validate(cohort, PREPARE, **{**SETTINGS, **option})

    def test_nothing_stored(self, tmp_path):
        with pytest.raises(ValueError, match="no finished cross-validation"):
            CrossValidation.load(tmp_path)


def test_a_default_network_is_the_papers(cohort):
    training = fold_training.FoldTraining(
        cohort, Preprocessing(shape=(24, 24, 24)), None, (), None, 0, 1, 4, 1e-3, 0, None, 0, None
    )
    kernels = [
        layer.kernel.shape[-1]
        for layer in training.network(0).layers
        if isinstance(layer, keras.layers.Conv3D)
    ]
    assert kernels == [32, 64, 128]
