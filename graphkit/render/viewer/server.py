"""The viewer's page for a browser on this machine, and for nobody else."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from graphkit.errors import InputError

__all__ = ["PageServer"]

_HOST: Final = "127.0.0.1"


class PageServer:
    """Serves one page on the loopback interface until it is closed; a context manager.

    The page's address holds a secret, and a request must name this machine: other users of the machine cannot guess it,
    and pages of other sites, which may point their own names here, are refused.

    Args:
        page: The HTML document.
        port: Port to listen on; 0 for any that is free.

    Attributes:
        address: Where the page is.

    Raises:
        InputError: The port is taken, or may not be used.
    """

    def __init__(self, page: bytes, port: int = 0) -> None:
        secret = secrets.token_urlsafe(16)
        try:
            self._server = ThreadingHTTPServer((_HOST, port), _handler(page, f"/{secret}/"))
        except (OSError, OverflowError) as error:
            raise InputError(
                f"Port {port} of {_HOST} cannot be listened on: {error}. Give another with --port, or none for "
                f"one that is free."
            ) from error
        self._server.daemon_threads = True
        self.address = f"http://{_HOST}:{self._server.server_port}/{secret}/"

    def serve(self) -> None:
        """Answer requests until :meth:`stop`, or an interrupt."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """Make :meth:`serve`, in another thread, return."""
        self._server.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.server_close()


def _handler(page: bytes, path: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers with the page."""

        server_version = "graphkit"
        sys_version = ""

        def do_GET(self) -> None:  # the name that the library calls
            self._answer(body=True)

        def do_HEAD(self) -> None:  # as above
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            here = self.connection.getsockname()[1]
            if self.headers.get("Host") not in (f"{_HOST}:{here}", f"localhost:{here}"):
                self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
                return
            if self.path.partition("?")[0] != path:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.end_headers()
            if body:
                self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name of the library
            """Say nothing: the terminal is the command's."""

    return Handler
