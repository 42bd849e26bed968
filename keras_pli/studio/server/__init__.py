"""The studio for a browser, over HTTP on this machine."""

from .studio_server import StudioServer, check_libraries, check_listening, serve

__all__ = ["StudioServer", "check_libraries", "check_listening", "serve"]
