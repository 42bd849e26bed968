import keras
import numpy as np
import pytest
from cohorts import PREPARE, phantoms

from keras_pli.volume import (
    compare_transfer,
    pretrain_autoencoder,
    read_cohort,
    volume_autoencoder,
)

FILTERS = (2, 3)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return read_cohort(phantoms().write(tmp_path_factory.mktemp("cohort")))


def test_a_subject_in_both_parts_is_refused(cohort):
    with pytest.raises(ValueError, match=r"both `train` and `test`: \['sub-0004'\]"):
        compare_transfer(cohort.select([0, 1, 2, 3]), cohort.select([3, 4]), PREPARE, None)


def test_more_images_than_there_are_of_a_class_are_refused(cohort):
    autoencoder = volume_autoencoder((16, 18, 16), filters=FILTERS)
    train, test = cohort.split(0.5)
    with pytest.raises(ValueError, match=r"asks for 8 images, 4 of each class. `train` has 3"):
        compare_transfer(train, test, PREPARE, autoencoder, sizes=(8,))


@pytest.mark.slow
def test_an_autoencoder_that_diverges(cohort):
    with pytest.raises(ValueError, match=r"autoencoder diverged in epoch 1: .* 1e\+30"):
        pretrain_autoencoder(
            cohort, PREPARE, filters=(1,), epochs=3, batch_size=1, learning_rate=1e30
        )


@pytest.mark.slow
def test_what_an_autoencoder_gives_comes_nearer_to_its_input(cohort):
    x = cohort.arrays(PREPARE)[0]
    trained = pretrain_autoencoder(
        cohort, PREPARE, filters=FILTERS, epochs=8, batch_size=2, learning_rate=1e-2, seed=1
    )
    fresh = volume_autoencoder(x.shape[1:], filters=FILTERS, seed=1)
    before, after = (
        float(np.mean((network.predict(x, verbose=0) - x) ** 2)) for network in (fresh, trained)
    )
    assert after < 0.8 * before


@pytest.mark.slow
def test_both_starts_learn_from_the_same_rows_in_equal_shares(cohort, monkeypatch):
    train, test = cohort.split(0.4)
    autoencoder = volume_autoencoder((16, 18, 16), filters=FILTERS, seed=5)
    code = autoencoder.get_layer("conv_1").kernel.numpy()
    seen, real = [], keras.Model.fit

    def fit(self, stream, **options):
        x, y = (np.concatenate(parts) for parts in zip(*stream.as_numpy_iterator(), strict=True))
        order = np.lexsort(x.reshape(len(x), -1).T)  # each pass over the stream has another
        seen.append((x[order], y[order], self.get_layer("conv_1").kernel.numpy()))
        return real(self, stream, **options)

    monkeypatch.setattr(keras.Model, "fit", fit)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    table = compare_transfer(
        train, test, PREPARE, autoencoder, sizes=(3, 4), repeats=1, epochs=1, dropout=0.0
    )
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert table["labelled"].tolist() == [3, 3, 4, 4]
    assert table["start"].tolist() == ["random", "autoencoder"] * 2
    assert table[["accuracy", "auc"]].apply(lambda column: column.between(0, 1)).all(axis=None)
    for one, other, size in zip(seen[::2], seen[1::2], (3, 4), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
        assert sorted(np.bincount(one[1])) == [size // 2, size - size // 2]
        assert not np.array_equal(one[2], code) and np.array_equal(other[2], code)
    np.testing.assert_array_equal(autoencoder.get_layer("conv_1").kernel.numpy(), code)
