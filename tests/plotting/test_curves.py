import numpy as np
import pytest

from keras_pli.plotting import training_curves


def test_training_and_validation_share_an_axis():
    history = {"loss": [3.0, 2.0, 1.0], "acc": [0.1, 0.2, 0.3], "val_loss": [3.0, np.nan, 2.0]}
    figure = training_curves(history, title="Run")
    loss, accuracy = figure.axes
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["loss", "acc"]
    assert len(loss.lines) == 2 and len(accuracy.lines) == 1
    assert loss.lines[0].get_xydata().tolist() == [[1, 3], [2, 2], [3, 1]]
    assert loss.lines[1].get_xydata().tolist() == [[1, 3], [3, 2]]
    assert loss.lines[0].get_color() != loss.lines[1].get_color()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["training", "validation"]


def test_no_legend_for_training_alone_and_columns():
    figure = training_curves({name: [1.0] for name in "abcde"}, columns=2)
    assert not figure.legends
    assert figure.axes[0].get_gridspec().get_geometry() == (3, 2)


def test_validation_without_training_is_drawn():
    figure = training_curves({"val_f1": [0.4, 0.5]})
    assert figure.axes[0].get_title(loc="left") == "f1" and figure.legends


@pytest.mark.parametrize(
    "history, columns, message",
    [
        ({}, 3, "at least one metric"),
        ({"loss": [1.0, 2.0], "val_loss": [1.0]}, 3, "'val_loss': 1"),
        ({"loss": []}, 3, "'loss': 0"),
        ({"loss": [1.0]}, 0, "Received: 0"),
    ],
)
def test_errors(history, columns, message):
    with pytest.raises(ValueError, match=message):
        training_curves(history, columns=columns)
