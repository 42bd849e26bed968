"""The studio for a browser, over HTTP on this machine."""

from .studio_server import StudioServer, serve

__all__ = ["StudioServer", "serve"]
