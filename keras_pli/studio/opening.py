"""The studio by one call: a widget in a notebook, a page in the browser elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

    from .widget import StudioWidget

OUT = "runs/studio"

# By folder, the widgets that this process shows: a cell that is run again opens its folder anew.
_shown: dict[Path, StudioWidget] = {}


def studio(
    classifier: keras.Model,
    x: Any,
    labels: ArrayLike,
    *,
    test: tuple[Any, ArrayLike] | None = None,
    layer: str | keras.Layer = "logits",
    embedder: keras.Model | None = None,
    class_names: Sequence[str] | None = None,
    group: ArrayLike | None = None,
    rationale: Any = None,
    out: str | os.PathLike[str] = OUT,
    host: str = "127.0.0.1",
    port: int = 0,
    allowed_hosts: Sequence[str] = (),
    open_browser: bool = True,
    seed: int = 0,
    verbose: Any = "auto",
) -> StudioWidget | None:
    """Opens a classifier's map to take hold of: look, ask, move, retrain, compare, keep or discard.

    In a notebook it returns the widget that shows the session; it ends with the kernel. Elsewhere it serves
    the same page to a browser on this machine, until Ctrl-C. All that is done is kept in `out`, and is there
    again when it is opened with the same classifier and data.

    Args:
        classifier: A trained classifier of one output, `(samples, classes)`. It is left as it is: the studio
            trains copies.
        x: Inputs of the training samples, the points of the map: an array, or a list, tuple or dict of
            arrays.
        labels: Their classes counted from 0, integers of shape `(samples,)`; -1 for samples without a label.
        test: `(x, labels)` of held-out samples. By default a fifth of the samples is held out.
        layer: The layer to map (see `keras_pli.activations`).
        embedder: A trained map of that layer with two components. By default that of the folder, or a
            `ParametricTSNE.smooth`, which is trained first.
        class_names: Names of the classes 0, 1, …; their numbers by default.
        group: What is known of the samples besides, such as the hospital: integers or strings, one each.
        rationale: A `RationaleGenerator` for this classifier, which then explains single samples.
        out: The session's folder.
        host: In a browser, the address to listen on; see `StudioServer`.
        port: In a browser, the port; 0 takes a free one.
        allowed_hosts: In a browser, names to answer to besides; see `StudioServer`.
        open_browser: Whether to open the page, where there is a screen.
        seed: Seed of the map's training.
        verbose: As in Keras, for the map's training.

    Returns:
        A `StudioWidget` in a notebook, None elsewhere.

    Raises:
        ImportError: If a notebook lacks anywidget, or starlette or uvicorn are missing elsewhere.
        OSError: If the port is taken.
        RuntimeError: If another process has the folder open.
        TypeError: If the classifier is no Keras model.
        ValueError: If the data do not fit the classifier, or the folder holds a session of others.

    Example:
        >>> kp.studio(classifier, x, labels, out="runs/digits")  # doctest: +SKIP
    """
    from .session.given import StudioData
    from .session.session import StudioSession

    notebook = in_notebook()
    if notebook:  # what is missing is told before a map is trained
        from .widget import StudioWidget

        _close_shown(Path(out))
    else:
        from .server import check_libraries, check_listening, serve

        check_libraries()
        check_listening(host, port)
    data = StudioData.of(
        classifier,
        x,
        labels,
        test=test,
        layer=layer,
        class_names=class_names,
        group=group,
        rationale=rationale,
    )
    session = StudioSession(data, Path(out), embedder=embedder, seed=seed, verbose=verbose)
    if notebook:
        _shown[Path(out).resolve()] = widget = StudioWidget(session)
        return widget
    serve(session, host=host, port=port, allowed_hosts=allowed_hosts, open_browser=open_browser)
    return None


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def _close_shown(folder: Path) -> None:
    widget = _shown.pop(folder.resolve(), None)
    if widget is not None:
        widget.close()
        widget.session.close()
