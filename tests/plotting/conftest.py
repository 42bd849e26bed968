import numpy as np
import pytest


@pytest.fixture
def clusters():
    """Three clear clusters of 60 points with their labels."""
    rng = np.random.default_rng(7)
    labels = np.arange(180) % 3
    centres = np.array([[0.0, 0.0], [20.0, 0.0], [8.0, 15.0]])
    return centres[labels] + rng.normal(size=(180, 2)), labels


@pytest.fixture
def pixels():
    """Renders a figure to an array."""

    def render(figure):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba()).copy()

    return render
