import numpy as np
import pytest
from scipy.spatial.distance import cosine

from keras_pli.inspection import EpochFolder, Settling, plot_filter_evolution, settling
from keras_pli.plotting import settling_map


@pytest.fixture(scope="module")
def states():
    random = np.random.default_rng(0)
    return [{"a": random.normal(size=(3, 3, 2)), "b": random.normal(size=4)} for _ in range(5)]


def flat(states, name):
    return [state[name].ravel() for state in states]


@pytest.mark.parametrize("name", ["a", "b"])
def test_distances_are_those_of_scipy_and_of_the_definition(states, name):
    row, lines = ["a", "b"].index(name), flat(states, name)
    end, start = lines[-1], lines[0]
    found = {
        measure: settling(states, measure=measure).distances[row]
        for measure in ("cosine", "relative", "remaining")
    }
    np.testing.assert_allclose(found["cosine"], [cosine(line, end) for line in lines], atol=1e-12)
    left = np.array([np.sqrt(np.sum((line - end) ** 2)) for line in lines])
    np.testing.assert_allclose(found["relative"], left / np.sqrt(np.sum(end**2)))
    np.testing.assert_allclose(found["remaining"], left / np.sqrt(np.sum((start - end) ** 2)))


def test_a_layer_has_settled_when_it_stays():
    lines = {
        "early": [1, 0.05, 0.02, 0, 0],
        "back": [1, 0.05, 0.5, 0.1, 0],
        "late": [4, 3, 2, 1, 0],
    }
    states = [{name: [line[t]] for name, line in lines.items()} for t in range(5)]
    states.append({"early": [0.0], "back": [0.0], "late": [0.0]})
    found = settling(states, [0, 2, 4, 6, 8, 10], within=0.1)
    assert dict(zip(found.names.tolist(), found.settled.tolist(), strict=True)) == {
        "early": 2,
        "back": 6,
        "late": 8,
    }
    assert found.to_frame()["settled"].tolist() == [2, 6, 8]


def test_what_does_not_move_has_settled_from_the_start():
    found = settling([{"a": np.zeros(3)}] * 3)
    assert found.settled.tolist() == [0] and not found.distances.any()
    assert np.isnan(settling([{"a": np.zeros(3)}]).settled).all()  # one epoch tells nothing


def test_what_still_moves_at_the_end_has_not_settled(tmp_path):
    """The last epoch is no distance from itself, which says nothing."""
    lines = {"done": [4.0, 0.2, 0.1, 0.0], "moving": [3.0, 2.0, 1.0, 0.0]}
    found = settling([{name: [line[t]] for name, line in lines.items()} for t in range(4)])
    np.testing.assert_array_equal(found.settled, [1, np.nan])
    assert found.to_frame()["settled"].isna().tolist() == [False, True]
    loaded = Settling.load(found.save(tmp_path / "settling.npz"))
    np.testing.assert_array_equal(loaded.settled, found.settled)
    ax = loaded.plot().axes[0]
    dot, ring = ax.collections
    assert dot.get_offsets().tolist() == [[1, 0]] and ring.get_offsets().tolist() == [[3, 1]]
    assert len(dot.get_facecolor()) == 1 and len(ring.get_facecolor()) == 0
    assert "not settled" in ax.get_xlabel()
    assert [text.get_text() for text in ax.texts] == ["settled", "1", "not yet"]


def test_a_stored_result_and_its_figure(states, tmp_path):
    found = settling(states, measure="cosine")
    loaded = Settling.load(found.save(tmp_path / "settling.npz"))
    np.testing.assert_array_equal(loaded.distances, found.distances)
    assert loaded.names.tolist() == ["a", "b"] and loaded.about == found.about
    figure = loaded.plot()
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), found.distances)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: settling([]), "Received none"),
        (lambda s: settling(s, measure="l1"), "'l1'"),
        (lambda s: settling(s, within=-1), "Received: -1"),
        (lambda s: settling(s, [0, 1]), r"5 whole numbers.*\[0, 1\]"),
        (lambda s: settling([s[0], {"a": np.zeros(3)}]), "Epoch 0 holds.*'b': 4.*'a': 3"),
        (lambda s: settling([{"a": [np.nan]}, {"a": [0.0]}]), "epoch 0.*'a'"),
        (lambda s: settling_map([[1.0]], [0, 1], ["a"]), r"1 by 2.*\(1, 1\)"),
        (lambda s: settling_map([[1.0]], [0], ["a"], settled=[]), "each of 1 layers"),
    ],
)
def test_errors_quote_what_came(states, call, message):
    with pytest.raises(ValueError, match=message):
        call(states)


def test_a_folder_without_epochs(tmp_path):
    (tmp_path / "epoch-x.npz").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="no epochs"):
        EpochFolder(tmp_path)
    np.savez(tmp_path / "epoch-000.npz", conv=np.ones((3, 3, 1, 2)))
    with pytest.raises(ValueError, match=r"'cnov'.*'conv'"):
        plot_filter_evolution(tmp_path, "cnov")
