import numpy as np
import pytest

from keras_pli.plotting import confusion_figure


def test_counts_stand_in_their_cells_and_errors_are_shaded_by_the_worst():
    figure = confusion_figure([[9, 1, 0], [0, 5, 5], [0, 0, 0]], ["cat", "$dog", "owl"])
    ax = figure.axes[0]
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "9", (1, 0): "1", (1, 1): "5", (2, 1): "5"}
    pixels = np.asarray(ax.images[0].get_array())[..., :3]
    np.testing.assert_allclose(pixels[[0, 1, 2], [2, 0, 2]], 1.0)  # nothing there is white
    blueness = pixels[..., 2] - pixels[..., 0]
    assert blueness[0, 0] > blueness[1, 1] > 0 > blueness[0, 1] > blueness[1, 2]


def test_many_classes_have_no_counts():
    assert len(confusion_figure(np.eye(40)).axes[0].texts) == 0


@pytest.mark.parametrize("counts", [np.ones((2, 3)), [[-1, 0], [0, 1]], [1, 2]])
def test_what_is_no_confusion_matrix(counts):
    with pytest.raises(ValueError, match="`counts` must be square"):
        confusion_figure(counts)


def test_names_of_another_number():
    with pytest.raises(ValueError, match=r"2 entries\. Received: 1"):
        confusion_figure(np.eye(2), ["a"])
