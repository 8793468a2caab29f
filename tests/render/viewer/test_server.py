"""The page reaches a browser on this machine that knows its address, and nobody else."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from graphkit.errors import InputError
from graphkit.render.viewer.server import PageServer


@contextmanager
def serving(page="<p>é</p>"):
    with PageServer(page.encode()) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()


def ask(server, path=None, *, method="GET", host=None):
    where = urlsplit(server.address)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    connection.request(method, where.path if path is None else path, headers={"Host": host or where.netloc})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer, text


def test_the_page_is_at_its_address():
    with serving() as server:
        answer, text = ask(server)
    assert answer.status == 200
    assert text.decode() == "<p>é</p>"
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert answer.getheader("Referrer-Policy") == "no-referrer"


def test_a_head_request_has_no_body():
    with serving() as server:
        answer, text = ask(server, method="HEAD")
    assert (answer.status, answer.getheader("Content-Length"), text) == (200, "9", b"")


@pytest.mark.parametrize("path", ["/", "/favicon.ico", "/../etc/passwd"])
def test_nothing_else_is_served(path):
    with serving() as server:
        assert ask(server, path)[0].status == 404


def test_a_site_that_points_its_name_here_is_refused():
    with serving() as server:
        answer, text = ask(server, host="evil.example")
    assert answer.status == 421
    assert "é".encode() not in text


def test_two_servers_have_different_secrets():
    with serving() as one, serving() as other:
        assert urlsplit(one.address).path != urlsplit(other.address).path


def test_a_port_that_is_taken_is_told():
    with serving() as server, pytest.raises(InputError, match="cannot be listened on"):
        PageServer(b"", urlsplit(server.address).port)
