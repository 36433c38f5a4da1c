"""The configuration of nginx in docs/how-to/serve.md: slow clients wait there, and others are answered."""

from __future__ import annotations

import getpass
import re
import shutil
import socket
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.cli.running import free_port, start
from tests.execution.distributed.working import wait_until
from tests.service.conftest import ARROW, stream_of, table_of
from tests.service.test_process import ask, client_of, told

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "serve.md"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
HEAD = f"POST /v1/models/one/transform HTTP/1.1\r\nHost: service\r\nContent-Type: {ARROW}\r\n"
#: Slow clients, and what nginx says to them: nothing before the end of a header, and 408 to a body.
SLOW = {HEAD: b"$", f"{HEAD}Content-Length: 5000\r\n\r\nx": b"HTTP/1.1 408 |$"}
ROWS = stream_of(table_of().select(["x"]))

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def service(folder):
    """Port of a service with room for one request."""
    with start("serve", "--model", folder, "--port", "0", "--concurrency", "1", "--log-format", "json") as process:
        try:
            yield int(re.search(r":(\d+)$", told(process, "serving"))[1])
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port(service, tmp_path_factory):
    """Port of nginx with the page's configuration, but for TLS, and with a second in place of ten."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    (page,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    page = re.sub(r" +ssl_.*;\n", "", page).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    page = page.replace("127.0.0.1:8080", f"127.0.0.1:{service}").replace(" 10s;", " 1s;")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    own = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    process = f"daemon off;\nuser {getpass.getuser()};\npid {folder}/pid;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{process}http {{\naccess_log off;\n{own}{page}}}\n")
    command = [NGINX, "-e", str(folder / "errors"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: is_open(port), 60)
            yield port
        finally:
            process.terminate()


def is_open(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def slow_clients(stack, port, address, begin, count):
    for _ in range(count):
        one = stack.enter_context(socket.create_connection(("127.0.0.1", port), 60, (address, 0)))
        one.sendall(begin.encode())
        yield one


def rest_of(one):
    """What is said until the connection is closed."""
    pieces = []
    try:
        while piece := one.recv(1 << 16):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def status_of(port, body=ROWS):
    with closing(client_of(port)) as client:
        client.request("POST", "/v1/models/one/transform", body, {"Content-Type": ARROW})
        return client.getresponse().status


@pytest.mark.parametrize("begin", SLOW, ids=["heads", "bodies"])
def test_others_are_answered(port, begin):
    """Slow clients of another address reach neither the service nor the limit of this one."""
    with ExitStack() as stack:
        slow = list(slow_clients(stack, port, "127.0.0.2", begin, 30))
        assert status_of(port) == 200
        assert all(re.match(SLOW[begin], rest_of(one)) or b" 429 " in rest_of(one) for one in slow[:20])
    assert status_of(port) == 200


def test_an_address_has_no_more_than_its_share(port):
    with ExitStack() as stack:
        *within, beyond = slow_clients(stack, port, "127.0.0.3", [*SLOW][1], 21)
        assert b"HTTP/1.1 429 " in beyond.recv(100)
        assert status_of(port) == 200
        assert all(re.match(SLOW[[*SLOW][1]], rest_of(one)) for one in within)


def test_bodies_are_limited(port):
    with closing(client_of(port)) as client:
        client.request("POST", "/v1/models/one/transform", None, {"Content-Type": ARROW, "Content-Length": "67108865"})
        assert client.getresponse().status == 413
    with closing(client_of(port)) as client:
        assert ask(client, "/health", {})[0] == 200
