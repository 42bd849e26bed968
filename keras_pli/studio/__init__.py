"""The studio: a map to take hold of, in the browser and in a notebook."""

from .session.given import StudioData
from .session.session import StudioSession

__all__ = ["StudioData", "StudioSession"]
