"""Figures show themselves: in a notebook as a picture, in a window where there are any, else in words."""

import ast
import copy
import io
import pickle
import sys
import types
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure
from PIL import Image

import keras_pli
from keras_pli.plotting import embedding_map
from keras_pli.plotting.style import new_figure


@pytest.fixture
def figure(clusters):
    return embedding_map(*clusters, title="Map")


def test_a_notebook_gets_a_sharp_picture_of_the_figures_size(figure):
    png, size = figure._repr_png_()
    picture = Image.open(io.BytesIO(png))
    # Two dots for each of a browser's, of which there are 96 to the inch.
    assert abs(picture.width - 2 * size["width"]) <= 1
    assert abs(picture.height - 2 * size["height"]) <= 1
    width, height = 96 * figure.get_size_inches()
    assert size["width"] == pytest.approx(width, abs=30)
    assert size["height"] == pytest.approx(height, abs=30)
    assert np.asarray(picture.convert("L")).std() > 5


class FakeShell:
    """What figures ask of an IPython shell."""

    def __init__(self, types_):
        self.display_formatter = types.SimpleNamespace(active_types=types_)


def as_ipython(monkeypatch, shell):
    shown = []
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    display = types.ModuleType("IPython.display")
    display.display = shown.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


def test_show_displays_in_a_notebook(figure, monkeypatch):
    shown = as_ipython(monkeypatch, FakeShell(["text/plain", "image/png"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figure.show() is None
    assert shown == [figure]


@pytest.mark.parametrize("shell", [None, FakeShell(["text/plain"])])
def test_a_terminal_is_no_notebook(figure, monkeypatch, shell):
    shown = as_ipython(monkeypatch, shell)
    with pytest.warns(UserWarning, match="'agg' has none"):
        figure.show()
    assert not shown


def test_without_a_window_show_says_what_to_do(figure):
    assert matplotlib.get_backend().lower() == "agg"
    with pytest.warns(UserWarning, match=r"no window.*save_figure") as caught:
        figure.show()
    assert Path(caught[0].filename) == Path(__file__)
    assert not pyplot.get_fignums()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.show(warn=False)


@pytest.fixture
def windows():
    """Lets pyplot open windows, which are entries of a list."""
    opened = []

    class Manager(FigureManagerBase):
        def show(self):
            opened.append(self.canvas.figure)

        @classmethod
        def start_main_loop(cls):
            pyplot.close("all")

    class Canvas(FigureCanvasAgg):
        manager_class = Manager

    backend = types.ModuleType("windows_of_a_test")
    backend.FigureCanvas = Canvas
    sys.modules[backend.__name__] = backend
    pyplot.switch_backend(f"module://{backend.__name__}")
    yield opened
    pyplot.close("all")
    pyplot.switch_backend("agg")
    del sys.modules[backend.__name__]


def test_show_opens_a_window_again_and_again(figure, windows, pixels):
    before = pixels(figure)
    for times in (1, 2):
        figure.show()
        assert windows == times * [figure] and not pyplot.get_fignums()
    assert np.abs(pixels(figure).astype(float) - before).mean() < 1


def test_an_open_window_is_not_opened_twice(figure, windows):
    with pyplot.ion():
        figure.show()
        (number,) = pyplot.get_fignums()
        figure.show()
        assert pyplot.get_fignums() == [number]


def test_copies_and_pickles_draw_the_same(figure, pixels):
    drawn = pixels(figure).astype(float)
    for other in (copy.deepcopy(figure), pickle.loads(pickle.dumps(figure))):
        assert type(other) is type(figure) and isinstance(other, MatplotlibFigure)
        # The layout is solved anew, to a part of a pixel.
        assert np.abs(pixels(other) - drawn).mean() < 1 < drawn.std()
        assert other._repr_png_()[1] == figure._repr_png_()[1]
    assert not pyplot.get_fignums()


def test_a_figure_saves_itself_as_before(tmp_path):
    new_figure(2, 1).savefig(tmp_path / "empty.png", dpi=50)
    assert Image.open(tmp_path / "empty.png").size == (100, 50)


@pytest.mark.slow
def test_no_file_imports_pyplot_when_it_is_imported():
    # Keras does, where matplotlib is installed; what this package imports must not depend on that.
    for file in Path(keras_pli.__file__).parent.rglob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            assert "pyplot" not in ast.unparse(node) or isinstance(
                node, ast.FunctionDef | ast.ClassDef | ast.Expr
            ), file


class TestIPython:
    """What IPython itself makes of a figure, where it is installed."""

    @pytest.fixture
    def formatter(self):
        formatters = pytest.importorskip("IPython.core.formatters")
        return formatters.DisplayFormatter()

    def test_shows_the_figures_own_picture(self, figure, formatter):
        data, about = formatter.format(figure)
        assert set(data) == {"text/plain", "image/png"}
        assert (data["image/png"], about["image/png"]) == figure._repr_png_()

    def test_what_is_set_for_all_figures_goes_before(self, figure, formatter):
        # As `%matplotlib inline` registers it.
        png = formatter.formatters["image/png"]
        png.for_type(MatplotlibFigure, lambda _: b"\x89PNG inline")
        data, _ = formatter.format(figure)
        assert data["image/png"] == b"\x89PNG inline"
