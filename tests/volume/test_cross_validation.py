import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from cohorts import PREPARE, build, phantoms, weights
from scipy.special import softmax
from sklearn.metrics import accuracy_score, roc_auc_score

from keras_pli.volume import (
    Cohort,
    CohortError,
    CrossValidation,
    Preprocessing,
    RandomVolumeFlip,
    cross_validate,
    optimal_scales,
    read_cohort,
    read_volume,
)
from keras_pli.volume.training import fold_training
from keras_pli.volume.training.cross_validation import training_identity
from keras_pli.volume.training.divergence import EndOfDivergence
from keras_pli.volume.training.stored_folds import note_of, read_tables, write_tables

SETTINGS = {"build": build, "folds": 2, "epochs": 1, "batch_size": 4, "scaling": "quantile"}


def tiny(shape, classes, seed):
    """A network without an input yet, whose layers are not seeded."""
    layers = keras.layers
    return keras.Sequential([layers.AveragePooling3D(8), layers.Flatten(), layers.Dense(classes)])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return read_cohort(phantoms().write(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "run"


@pytest.fixture(scope="module")
def calls():
    """Of the training below: its folds, and the subjects and scales of each stream of images."""
    return {"folds": [], "streams": []}


@pytest.fixture(scope="module")
def found(cohort, kept, calls):
    """What came of a run that was interrupted in its second fold and then resumed."""
    real_dataset, real_fold = Cohort.dataset, fold_training.FoldTraining.fold

    def dataset(self, preprocessing, **options):
        calls["streams"].append((set(self.subjects), options["scales"]))
        return real_dataset(self, preprocessing, **options)

    def fold(self, train, validation, number):
        calls["folds"].append(number)
        if calls["folds"] == [0, 1]:
            raise KeyboardInterrupt
        return real_fold(self, train, validation, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cohort, "dataset", dataset)
        patch.setattr(fold_training.FoldTraining, "fold", fold)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(cohort, PREPARE, out=kept, **SETTINGS)
        with pytest.raises(ValueError, match="no finished cross-validation"):
            CrossValidation.load(kept)
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
    assert loaded.identity == found.identity
    assert (
        loaded.scaling == found.scaling == json.loads((kept / "result.json").read_text())["scaling"]
    )
    for one, other in zip(loaded.models, found.models, strict=True):
        np.testing.assert_array_equal(weights(one), weights(other))


def test_an_interrupted_run_goes_on_where_it_was(found, calls):
    assert calls["folds"] == [0, 1, 1]


@pytest.mark.slow
def test_an_interrupted_run_gives_what_an_uninterrupted_one_gives(cohort, found):
    for one, other in zip(
        cross_validate(cohort, PREPARE, **SETTINGS).models, found.models, strict=True
    ):
        np.testing.assert_allclose(weights(one), weights(other), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 2},
        {"folds": 3},
        {"augmentation": [RandomVolumeFlip(axes=(0,))]},
        {"scaling": None},
        {"seed": 1},
    ],
    ids=str,
)
def test_other_options_are_not_mixed_with_what_is_kept(cohort, found, kept, change):
    with pytest.raises(ValueError, match="were made otherwise"):
        cross_validate(cohort, PREPARE, out=kept, **{**SETTINGS, **change})


def test_training_images_alone_are_scaled(cohort, found, calls):
    volumes = found.predictions["brain_volume"].to_numpy()
    for number, (train, _) in enumerate(cohort.folds(2)):
        (subjects, scales), *others = calls["streams"][3 * number : 3 * number + 3]
        assert subjects == set(train.subjects)
        rows = found.predictions["fold"].to_numpy() != number
        np.testing.assert_allclose(scales, optimal_scales(volumes[rows], cohort.labels[rows]))
        assert all((factors == 1).all() for _, factors in others)
    assert (found.predictions["scale"] == 1).all()


@pytest.mark.slow
def test_a_run_with_layers_without_seeds_is_resumed(cohort, tmp_path):
    settings = {**SETTINGS, "scaling": None, "build": tiny, "out": tmp_path / "run"}
    first = cross_validate(cohort, PREPARE, **settings)
    (tmp_path / "run" / "part-00001.npz").unlink()
    again = cross_validate(cohort, PREPARE, **settings)
    assert again.identity == first.identity


@pytest.mark.slow
def test_a_reference_is_the_size_of_the_training_subjects_for_all(cohort):
    found = cross_validate(cohort, PREPARE, **{**SETTINGS, "scaling": "reference"})
    table = found.predictions
    for fold in (0, 1):
        held_out = table["fold"] == fold
        mean = table["brain_volume"][~held_out].mean()
        scaled = table["brain_volume"] * table["scale"] ** 3
        np.testing.assert_allclose(scaled[held_out], mean)


def test_the_identity_follows_from_what_was_trained_on_and_from_the_networks(cohort, found, kept):
    models = CrossValidation.load(kept).models
    assert training_identity(cohort, PREPARE, models) == found.identity
    renamed = read_cohort(cohort.table.assign(label=np.where(cohort.labels == 0, "b", "a")))
    reversed_ = read_cohort(cohort.table.assign(path=cohort.paths[::-1]))
    others = [
        training_identity(renamed, PREPARE, models),
        training_identity(reversed_, PREPARE, models),
        training_identity(cohort, Preprocessing(), models),
        training_identity(cohort, PREPARE, models[::-1]),
    ]
    assert len({found.identity, *others}) == 5


@pytest.mark.slow
def test_masks_of_other_rows_are_not_mixed_with_what_is_kept(cohort, found, kept):
    masks = cohort.table["mask"].to_numpy()
    other = read_cohort(cohort.table.assign(mask=masks[[1, 0, *range(2, 12)]]))
    with pytest.raises(ValueError, match=r"were made otherwise: {'masks'"):
        cross_validate(other, PREPARE, out=kept, **SETTINGS)


def test_a_template_counts_by_its_bytes(cohort, tmp_path):
    template = tmp_path / "template.nii.gz"
    prepare = Preprocessing(skull_stripping="template", template=str(template))
    seen = set()
    for row in (0, 1):
        shutil.copy(cohort.table["mask"].iloc[row], template)
        seen.add(training_identity(cohort, prepare, ()))
    assert len(seen) == 2


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
            predictions.assign(**columns), found.table, found.history, (), (0, 1), PREPARE, ""
        )
        return result.size_correlation

    assert abs(correlation()) < 0.3  # though both grow with the class
    assert correlation(p_1=1 / (1 + np.exp(-(size - 1600) / 50))) > 0.99
    # One image of each class in a fold, or one size: nothing can be told.
    assert np.isnan(correlation(fold=np.arange(80) // 2))
    assert np.isnan(correlation(brain_volume=1500.1))


@pytest.mark.slow
def test_an_encoder_trained_on_the_folds_training_images_is_the_start(cohort, monkeypatch):
    starts = []
    real = fold_training.transfer_encoder

    def transfer(autoencoder, network):
        real(autoencoder, network)
        starts.append(network.get_layer("conv_1").get_weights()[0].copy())
        return network

    monkeypatch.setattr(fold_training, "transfer_encoder", transfer)
    settings = {**SETTINGS, "scaling": None, "learning_rate": 1e-6}
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

    @pytest.mark.slow
    def test_networks_of_other_outputs(self, cohort):
        def wrong(shape, classes, seed):
            return keras.Sequential([build(shape, classes, seed), keras.layers.Softmax()])

        with pytest.raises(ValueError, match=r"network of logits.* Received: .* ends in a softmax"):
            cross_validate(cohort, PREPARE, **{**SETTINGS, "build": wrong})

    @pytest.mark.slow
    def test_a_training_that_diverges(self, cohort, tmp_path):
        run = tmp_path / "run"
        settings = {**SETTINGS, "scaling": None, "batch_size": 1, "learning_rate": 1e38}
        with pytest.raises(ValueError, match=r"fold 0 diverged in epoch 1: .* 1e\+38") as raised:
            cross_validate(cohort, PREPARE, out=run, **{**settings, "build": tiny})
        assert "If `out` holds folds already, choose another" in str(raised.value)
        assert not [*run.glob("*.keras"), *run.glob("*.npz")]

    def test_an_autoencoder_that_diverges(self, cohort, monkeypatch):
        def pretrain(*_, learning_rate, **options):
            EndOfDivergence("The autoencoder", learning_rate).on_train_batch_end(
                0, {"loss": np.nan}
            )

        monkeypatch.setattr(fold_training, "pretrain_autoencoder", pretrain)
        with pytest.raises(ValueError, match="Fold 0: The autoencoder diverged in epoch 1"):
            cross_validate(cohort, PREPARE, pretraining_epochs=1, **SETTINGS)

    def test_a_template_that_cannot_be_stored(self, cohort, tmp_path):
        template = read_volume(cohort.table["mask"].iloc[0])
        prepare = Preprocessing(skull_stripping="template", template=template)
        with pytest.raises(ValueError, match="must be a file's path"):
            cross_validate(cohort, prepare, out=tmp_path / "run", **SETTINGS)

    def test_sizes_without_masks(self, cohort):
        bare = read_cohort(cohort.table.drop(columns="mask"))
        with pytest.raises(ValueError, match="needs the brain of each image"):
            cross_validate(bare, Preprocessing(), **SETTINGS)

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


@pytest.mark.parametrize(
    "classes", [("None", "NA"), ("007", "nan"), (1, 2.5), (False, True), ("a", 3)], ids=str
)
def test_labels_and_subjects_are_read_as_they_were_written(classes, tmp_path):
    image = np.arange(4)
    table = pd.DataFrame(
        {
            "path": [f"{row}.nii" for row in image],
            "label": pd.Series(classes * 2, ["NA", "007", "1", "x"], dtype=object),
            "subject": ["NA", "None", "007", "null"],
        }
    )
    cohort = read_cohort(table)
    by_row = {
        "subject": cohort.subjects,
        "label": [cohort.classes[code] for code in cohort.labels],
        "predicted": [cohort.classes[0]] * 4,
        "brain_volume": [1.5, np.nan, 2.0, np.nan],
    }
    predictions = pd.DataFrame(by_row, index=cohort.table.index.rename("row"))
    folds = pd.DataFrame({"fold": [0, 1], "validation_accuracy": [0.5, 1.0]})
    history = pd.DataFrame({"epoch": [0, 0], "loss": [0.7, 0.6], "fold": [0, 1]})
    write_tables(tmp_path, note_of(cohort, PREPARE), (predictions, folds, history))
    note, tables = read_tables(tmp_path)
    assert [(type(c), c) for c in note["classes"]] == [(type(c), c) for c in cohort.classes]
    for read, written in zip(tables, (predictions, folds, history), strict=True):
        pd.testing.assert_frame_equal(read, written)
