"""An S3 server on this machine, with faults put into its answers."""

from __future__ import annotations

import logging
import random
import re
import socket
import threading
import time
import warnings
from contextlib import contextmanager, suppress

ERROR = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>as a test wants</Message></Error>'
STATUS = {"500": ("500 Internal Server Error", b"InternalError"), "503": ("503 Slow Down", b"SlowDown")}
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials",
}
KINDS = ("500", "503", "dropped", "truncated", "late")


class Faults:
    """WSGI middleware: notes every request, and spoils a share of the answers.

    `fails` decides for one request instead, by method and path: the kind of fault, or None.
    """

    def __init__(self, app):
        self.app, self.lock = app, threading.Lock()
        self.behave()

    def behave(self, share=0.0, seed=0, fails=None):
        self.share, self.random, self.fails = share, random.Random(seed), fails
        self.requests, self.injected, self.queries = [], [], []

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self.lock:
            self.requests.append((method, path, environ.get("HTTP_RANGE")))
            self.queries.append((method, path, environ.get("QUERY_STRING")))
            kind = self.fails(method, path) if self.fails else None
            if kind is None and self.random.random() < self.share:
                kind = self.random.choice(KINDS)
            if kind:
                self.injected.append((kind, method, path))
        if kind in STATUS:
            drain(environ)
            status, code = STATUS[kind]
            start_response(status, [("Content-Type", "application/xml"), ("Connection", "close")])
            return [b"" if method == "HEAD" else ERROR % code]
        if kind == "late":
            time.sleep(0.05)
        answer = self.app(environ, start_response)
        return spoilt(answer, environ["werkzeug.socket"], kind) if kind in ("dropped", "truncated") else answer

    def gets(self):
        return [(path, span) for method, path, span in self.requests if method == "GET" and span]


def spoilt(answer, connection, kind):
    """All was done, but nothing or half of the answer arrives."""
    body = b"".join(answer)
    if kind == "truncated":
        yield body[: len(body) // 2]
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def drain(environ):
    """Take what the client sends, or it does not listen to the answer."""
    left = int(re.sub(r"\D", "", environ.get("CONTENT_LENGTH") or "0") or 0)
    environ["wsgi.input"].read(left)


@contextmanager
def running(middleware):
    """A server of moto's behind middleware of this type: the middleware, and the settings that lead to the server."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # of what moto imports
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    before = middleware(DomainDispatcherApplication(create_backend_app))
    listening = make_server("127.0.0.1", 0, before, threaded=True)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield before, {**SETTINGS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{listening.port}"}
    listening.shutdown()
    listening.server_close()
    thread.join()
