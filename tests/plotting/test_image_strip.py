import numpy as np
import pytest

from keras_pli.plotting import image_strip


def shown(figure, index=0):
    return np.asarray(figure.axes[index].images[0].get_array())


@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 8, 6, 1), (5, 8, 6, 3)])
def test_one_axes_an_image_with_its_caption(shape):
    figure = image_strip(np.random.default_rng(0).random(shape), list("abcde"), columns=3)
    assert [ax.get_xlabel() for ax in figure.axes] == list("abcde")
    assert figure.axes[0].get_gridspec().get_geometry() == (2, 3)
    assert shown(figure).shape == (shape[1:] if shape[-1] == 3 else (8, 6))


def test_values_share_one_scale():
    images = np.stack([np.full((2, 2), value) for value in (-3.0, 1.0, 5.0)])
    figure = image_strip(images)
    assert [shown(figure, index).mean() for index in range(3)] == [0.0, 0.5, 1.0]


def test_natural_ranges():
    assert shown(image_strip(np.full((1, 2, 2), 51, np.uint8))).mean() == pytest.approx(0.2)
    assert shown(image_strip(np.full((1, 2, 2), 0.3))).mean() == pytest.approx(0.3)
    assert shown(image_strip(np.full((1, 2, 2), 7.0))).mean() == 0.0
    clipped = image_strip(np.full((1, 2, 2), 9.0), value_range=(0, 4))
    assert shown(clipped).mean() == 1.0


def test_picture_follows_the_image(pixels):
    images = np.random.default_rng(0).random((2, 8, 8))
    assert (pixels(image_strip(images)) != pixels(image_strip(images[::-1]))).any()


GOOD = np.zeros((2, 4, 4))


@pytest.mark.parametrize(
    "images, arguments, message",
    [
        (np.zeros((4, 4)), {}, r"\(4, 4\)"),
        (np.zeros((2, 3, 4, 4)), {}, r"\(2, 3, 4, 4\)"),
        (np.zeros((0, 4, 4)), {}, r"\(0, 4, 4\)"),
        (np.full((2, 4, 4), np.nan), {}, "images 0, 1"),
        (np.array([[["a"]]]), {}, "real numbers"),
        (GOOD, {"captions": ["a"]}, "2 entries. Received: 1"),
        (GOOD, {"value_range": (1, 1)}, r"\(1, 1\)"),
        (GOOD, {"columns": 0}, "Received: 0"),
    ],
)
def test_errors(images, arguments, message):
    with pytest.raises(ValueError, match=message):
        image_strip(images, **arguments)
