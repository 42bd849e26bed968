import warnings

import keras
import numpy as np
import pytest
from sklearn.decomposition import PCA

from keras_pli.callbacks import WeightTrajectory
from keras_pli.inspection.landscape.slices import LossSurface
from keras_pli.inspection.landscape.surface import loss_surface
from keras_pli.inspection.landscape.trajectory import principal_directions

layers = keras.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 4)), RNG.normal(size=(40, 1))
SHAPES = [(4, 3), (3,), (3, 1), (1,)]


def way(points=9):
    steps = [[RNG.normal(size=shape) for shape in SHAPES] for _ in range(points)]
    return [
        [np.sum(part, axis=0) for part in zip(*steps[: n + 1], strict=True)] for n in range(points)
    ]


def flat(point):
    return np.concatenate([np.ravel(part) for part in point])


def test_principal_directions_are_those_of_scikit_learn():
    points = way()
    found = principal_directions(points, count=3)
    matrix = np.stack([flat(point) for point in points])
    analysis = PCA(3, svd_solver="full").fit(matrix)
    np.testing.assert_allclose(found.explained, analysis.explained_variance_ratio_, rtol=1e-9)
    directions = np.stack([flat(one) for one in found.directions])
    signs = np.sign(np.sum(directions * analysis.components_, axis=1))
    np.testing.assert_allclose(directions, analysis.components_ * signs[:, None], atol=1e-9)
    np.testing.assert_allclose(found.coordinates, (matrix - matrix[-1]) @ directions.T, atol=1e-9)
    assert (found.coordinates[0] > 0).all() and not found.coordinates[-1].any()


def test_steps_cover_the_way():
    found = principal_directions(way())
    for steps, along in zip(found.steps(7), found.coordinates.T, strict=True):
        assert len(steps) == 7 and steps[0] < along.min() and steps[-1] > along.max()
    assert found.labels[0].startswith("principal direction 1 (")


def model_in_training():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


@pytest.mark.slow
def test_a_way_that_lies_in_a_plane_is_on_the_surface():
    model = model_in_training()
    end = [v.numpy() for v in model.trainable_variables]
    one, other = ([RNG.normal(size=shape) for shape in SHAPES] for _ in range(2))
    places = [(1.0, 0.2), (0.5, -0.3), (0.1, 0.3), (0.0, 0.0)]
    points = [
        [w + a * d + b * e for w, d, e in zip(end, one, other, strict=True)] for a, b in places
    ]
    found = principal_directions(points)
    assert found.explained.sum() == pytest.approx(1)
    first = np.sort(found.coordinates[:, 0])
    surface = loss_surface(
        model, X, Y, found.directions, alphas=first, betas=np.sort(found.coordinates[:, 1])
    )
    for point, (a, b) in zip(points, found.coordinates, strict=True):
        for variable, value in zip(model.trainable_variables, point, strict=True):
            variable.assign(value)
        place = np.flatnonzero(surface.alphas == a)[0], np.flatnonzero(surface.betas == b)[0]
        np.testing.assert_allclose(
            surface.losses[place], model.evaluate(X, Y, verbose=0), rtol=1e-4
        )


@pytest.mark.parametrize(
    ("unit", "steps"),
    [
        pytest.param("epoch", [0, 4, 8, 12], marks=pytest.mark.slow),
        ("batch", [0, 2, 4, 6, 8, 10, 12]),
    ],
)
def test_callback_stores_what_the_weights_are(unit, steps, tmp_path):
    model = model_in_training()
    start = [v.numpy() for v in model.trainable_variables]
    callback = WeightTrajectory(tmp_path, every=1 if unit == "epoch" else 2, unit=unit)
    model.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=[callback])
    names = [f"step-{step:08d}.npz" for step in steps]
    assert sorted(file.name for file in tmp_path.glob("*.npz")) == names
    found = principal_directions(tmp_path)
    end = [v.numpy() for v in model.trainable_variables]
    total = flat(end) - flat(start)
    for axis, direction in enumerate(found.directions):
        assert found.coordinates[0, axis] == pytest.approx(-total @ flat(direction), abs=1e-6)


@pytest.mark.slow
def test_a_resumed_training_goes_on_in_the_folder(tmp_path):
    def fitted(folder, *epochs):
        model, first = model_in_training(), 0
        for last in epochs:
            model.fit(
                X, Y, epochs=last, initial_epoch=first, shuffle=False, verbose=0,
                callbacks=[WeightTrajectory(folder)],
            )  # fmt: skip
            first = last
        return {file.name: np.load(file)["00000"] for file in folder.glob("*.npz")}

    at_once, resumed = fitted(tmp_path / "one", 4), fitted(tmp_path / "other", 2, 4)
    assert sorted(at_once) == sorted(resumed) and len(at_once) == 5
    for name, weights in at_once.items():
        np.testing.assert_array_equal(weights, resumed[name])


@pytest.mark.slow
def test_steps_made_again_take_the_place_of_later_ones(tmp_path):
    model_in_training().fit(X, Y, epochs=4, verbose=0, callbacks=[WeightTrajectory(tmp_path)])
    model_in_training().fit(X, Y, epochs=1, verbose=0, callbacks=[WeightTrajectory(tmp_path)])
    assert len(list(tmp_path.glob("*.npz"))) == 2


@pytest.mark.slow
def test_the_way_of_another_training_is_not_written_over(tmp_path):
    model_in_training().fit(X, Y, epochs=1, verbose=0, callbacks=[WeightTrajectory(tmp_path)])
    other = model_in_training()
    other.layers[0].kernel.assign(other.layers[0].kernel + 1)
    with pytest.raises(ValueError, match="holds the weights of another training, steps 0 to 2"):
        other.fit(X, Y, epochs=1, verbose=0, callbacks=[WeightTrajectory(tmp_path)])


def test_repr_says_what_is_explained():
    found = principal_directions(way())
    shares = ", ".join(f"{share:.3f}" for share in found.explained)
    assert repr(found) == f"PrincipalDirections(explained=[{shares}], points=9)"


def test_a_surface_covers_a_trajectory_and_draws_it(tmp_path):
    model = model_in_training()
    callback = WeightTrajectory(tmp_path / "way")
    model.fit(X, Y, batch_size=10, epochs=6, verbose=0, callbacks=[callback])
    found = principal_directions(tmp_path / "way")
    surface = loss_surface(model, X, Y, trajectory=found)
    for steps, along in zip((surface.alphas, surface.betas), found.coordinates.T, strict=True):
        assert len(steps) == 25 and steps[0] < along.min() and steps[-1] > along.max()
    surface = LossSurface.load(surface.save(tmp_path / "surface.npz"))
    ax = surface.plot().axes[0]
    np.testing.assert_allclose(np.stack(ax.lines[0].get_data()).T, found.coordinates)
    written = [text.get_text() for text in ax.texts]
    assert written[0] == "start" and len(written) > 2
    for text in ax.texts[1:]:
        point = found.numbers.index(int(text.get_text().removeprefix("step ")))
        np.testing.assert_allclose(text.xy, found.coordinates[point])
    assert ax.get_xlabel() == found.labels[0]
    # The solution need not be on the grid for the title to say its loss.
    wanted = model.evaluate(X, Y, verbose=0)
    assert surface.about["loss"] == pytest.approx(wanted)
    assert ax.get_title(loc="left").startswith(f"loss {wanted:.3g} at the cross\n40 samples, 25 ")
    with pytest.raises(ValueError, match="`trajectory` has directions of its own"):
        loss_surface(model, X, Y, found.directions, trajectory=found)


@pytest.mark.slow
def test_weights_that_are_restored_at_the_end_are_noticed(tmp_path):
    model = model_in_training()
    restoring = keras.callbacks.EarlyStopping(
        "loss", patience=1, mode="max", restore_best_weights=True
    )
    model.fit(X, Y, epochs=6, verbose=0, callbacks=[WeightTrajectory(tmp_path), restoring])
    grid = {"alphas": [0, 1], "betas": [0, 1]}
    with pytest.warns(UserWarning, match="not at the origin of `trajectory`"):
        loss_surface(model, X, Y, trajectory=principal_directions(tmp_path), **grid)
    found = principal_directions(tmp_path, model=model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loss_surface(model, X, Y, trajectory=found, **grid)
    # What was restored is the first epoch's end, which is a point of its own.
    (restored,) = np.flatnonzero(np.abs(found.coordinates).max(axis=1) < 1e-6)
    assert restored == 1
    other = principal_directions(tmp_path)
    between = other.coordinates - other.coordinates[1]
    signs = np.where(between[0] < 0, -1, 1)
    np.testing.assert_allclose(found.coordinates, between * signs, atol=1e-6)


@pytest.mark.slow
def test_batches_that_a_run_of_several_steps_over_are_stored_at_its_end(tmp_path):
    model = model_in_training()
    model.compile("sgd", "mse", steps_per_execution=2)
    callback = WeightTrajectory(tmp_path, unit="batch", every=3)
    model.fit(X, Y, batch_size=4, epochs=1, verbose=0, callbacks=[callback])
    # Runs end at 2, 4, 6, 8 and 10; 3, 6 and 9 are reached at 4, 6 and 10.
    steps = sorted(int(file.stem[5:]) for file in tmp_path.glob("*.npz"))
    assert steps == [0, 4, 6, 10]


def test_bad_input_is_quoted(tmp_path):
    with pytest.raises(ValueError, match=r"2 directions need 3 points or more. Received: 2"):
        principal_directions(way(2))
    with pytest.raises(ValueError, match=r"do not span 2 directions. Variances: \["):
        principal_directions([[np.array([float(n), 0.0])] for n in range(4)])
    with pytest.raises(ValueError, match="holds no weights"):
        principal_directions(tmp_path)
    other = keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"`model` must have .*\(4, 3\). Received: \(2, 3\)"):
        principal_directions(way(), model=other)
    with pytest.raises(
        ValueError, match=r"`trajectory\[1\]` must have .* Weight 0 has shape \(2,\)"
    ):
        principal_directions([[np.zeros(2)], [np.zeros(3)], [np.zeros(2)]])
    with pytest.raises(ValueError, match=r"Received: 'epochs'. Did you mean 'epoch'"):
        WeightTrajectory(tmp_path, unit="epochs")
