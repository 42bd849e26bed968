"""The studio: a map to take hold of, in the browser and in a notebook.

`keras_pli.studio(classifier, x, labels)` opens it, as `keras_pli.studio.studio` does. What the server and the
widget need is imported when they are first used.
"""

import sys as _sys
from importlib import import_module as _import_module
from inspect import signature as _signature
from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING as _TYPE_CHECKING

from .opening import studio

if _TYPE_CHECKING:
    from .server import StudioServer
    from .session.given import StudioData
    from .session.session import StudioSession
    from .widget import StudioWidget

__all__ = ["StudioData", "StudioServer", "StudioSession", "StudioWidget", "studio"]

_HOMES = {
    "StudioData": "session.given",
    "StudioServer": "server",
    "StudioSession": "session.session",
    "StudioWidget": "widget",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(_import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)


class _Callable(_ModuleType):
    """A module that is called as the function of its name: a package has one name for both."""

    __call__ = staticmethod(studio)
    __signature__ = _signature(studio)


_sys.modules[__name__].__class__ = _Callable
