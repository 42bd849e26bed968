"""The figure that all others here are: it shows itself in a notebook, or in a window."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module

from matplotlib.backend_bases import FigureManagerBase
from matplotlib.figure import Figure as MatplotlibFigure

from .export import screen_png


class Figure(MatplotlibFigure):
    """A `matplotlib.figure.Figure` that shows itself, although pyplot knows nothing of it.

    At the end of a notebook's cell it appears as a picture. What `%matplotlib inline` has set for all
    figures, such as another format, goes before.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return screen_png(self)

    def show(self, warn: bool = True) -> None:
        """Shows the figure: as a picture in a notebook, else in a window.

        A window is opened by pyplot, and all windows of pyplot with it; a script waits until they are
        closed, an interactive session does not. Without a screen there is nothing to open, and a warning
        says how to store the figure instead.

        Args:
            warn: Whether to warn where there is no window.

        Example:
            >>> figure = Figure()
            >>> figure.show()  # doctest: +SKIP
        """
        if _in_notebook():
            import_module("IPython.display").display(self)
            return
        from matplotlib import pyplot

        manager = self.canvas.manager
        if manager is None or manager.num not in pyplot.get_fignums():
            # pyplot takes a class to make a figure of, and so can be handed one that is there.
            pyplot.figure(FigureClass=lambda *_, **__: self)  # type: ignore[arg-type]
            manager = self.canvas.manager
        if manager is not None and type(manager).show is not FigureManagerBase.show:
            pyplot.show()
            return
        pyplot.close(self)
        if warn:
            warnings.warn(
                f"There is no window to show the figure in: matplotlib's backend "
                f"{pyplot.get_backend()!r} has none. Store it by "
                "`keras_pli.plotting.save_figure(figure, 'figure.png')`.",
                stacklevel=2,
            )


def _in_notebook() -> bool:
    """Whether an IPython shell takes pictures; one in a terminal takes text alone."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "image/png" in shell.display_formatter.active_types
