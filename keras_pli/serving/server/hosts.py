"""Which names a server answers to, so that no web page can have the browser read from it.

A page on `http://evil.example` may let that name point to 127.0.0.1 once it is loaded (DNS rebinding). To the
browser the local server is then the page's own, and the page may read its answers. But the browser sends
the name, in the headers Host and Origin.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable

from .errors import ServingError

ANY = "*"
_NAME = re.compile(r"[^\[\]/@:\s]+")
_HOST = re.compile(rf"(\[[0-9A-Fa-f:.]+\]|{_NAME.pattern})(?::[0-9]*)?")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(.*)")


class AllowedHosts:
    """The names and addresses that the headers Host and Origin of a request may hold, with any port.

    They are the address that the server listens on, `localhost`, `127.0.0.1` and `::1`. A server that
    listens on all addresses also answers to every address, since only a name can be pointed elsewhere, and to
    the machine's name.

    Args:
        host: The address that the server listens on.
        more: Names and addresses to add; `"*"` allows all.

    Raises:
        ValueError: If one of them is no name and no address.

    Example:
        >>> hosts = AllowedHosts("127.0.0.1", ["models.example"])
        >>> hosts.check(host="localhost:8501", origin=None)
        >>> hosts.check(host="evil.example", origin=None)
        Traceback (most recent call last):
        ...
        keras_pli.serving.server.errors.ServingError: The host 'evil.example' is not one that this server \
answers to: '127.0.0.1', '::1', 'localhost', 'models.example'. Add it by `--allowed-host`, or in Python by \
`allowed_hosts`.
    """

    def __init__(self, host: str, more: Iterable[str] = ()) -> None:
        given = [more] if isinstance(more, str) else list(more)
        self._all = ANY in given
        self._addresses = _is_wildcard(host)
        own = socket.gethostname() if self._addresses else host
        self._names = {"localhost", "127.0.0.1", "::1", _normal(own)}
        for name in given:
            normal = _normal(name.strip("[]"))
            if not _is_address(normal) and not _NAME.fullmatch(normal):
                raise ValueError(
                    f"`allowed_hosts` must hold names and addresses, without a port. Received: {name!r}."
                )
            self._names.add(normal)

    def check(self, *, host: str | None, origin: str | None) -> None:
        """Raises ServingError, PERMISSION_DENIED, unless a request with these headers is answered.

        A request without Host comes from no browser, and passes.
        """
        if host is not None and not self._allows(host_of(host)):
            raise self._refusal("host", host)
        if origin is not None:
            found = _ORIGIN.fullmatch(origin)
            name = host_of(found[1]) if found else None
            if name is None or not (self._allows(name) or (host and name == host_of(host))):
                raise self._refusal("origin", origin)

    def _allows(self, name: str | None) -> bool:
        if name is None:
            return False
        return self._all or name in self._names or (self._addresses and _is_address(name))

    def _refusal(self, kind: str, value: str) -> ServingError:
        names = ", ".join(map(repr, sorted(self._names)))
        addresses = " and every address" if self._addresses else ""
        return ServingError(
            f"The {kind} {value[:200]!r} is not one that this server answers to: {names}{addresses}. Add it "
            "by `--allowed-host`, or in Python by `allowed_hosts`.",
            "PERMISSION_DENIED",
        )


def host_of(text: str) -> str | None:
    """Returns the name or address in `host[:port]`, in one spelling; None if it is none.

    Example:
        >>> host_of("LocalHost.:8501"), host_of("[0:0::1]:80"), host_of("a b")
        ('localhost', '::1', None)
    """
    found = _HOST.fullmatch(text)
    return _normal(found[1].strip("[]")) if found else None


def _normal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_wildcard(host: str) -> bool:
    return not host or (_is_address(host) and ipaddress.ip_address(host).is_unspecified)
