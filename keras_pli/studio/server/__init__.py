"""The studio for a browser, over HTTP on this machine."""

from .studio_server import StudioServer, check_libraries, serve

__all__ = ["StudioServer", "check_libraries", "serve"]
