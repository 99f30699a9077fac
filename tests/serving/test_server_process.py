"""A server as a process: where it listens, how it stops, and what fuzzed requests do to it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager

import pytest

from motet import InputError, load
from motet.cli import main
from motet.serving import create_app, serve
from motet.serving.server import close_to_slow_readers
from motet.serving.server import listening as bound

SLOW = """
import time
from motet.run import Run
predict = Run.predict
def slow(self, *given, **options):
    print("computing", flush=True)
    time.sleep(0.5)
    return predict(self, *given, **options)
Run.predict = slow
from motet.cli import main
main()
"""


@contextmanager
def process(*arguments):
    command = [sys.executable, "-c", SLOW, "serve", *map(str, arguments)]
    found = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield found, found.stdout.readline().split(" at ")[-1].strip()
    finally:
        found.kill()
        found.communicate()


def post(address, content):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/predict", json.dumps(content).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


@pytest.mark.slow  # a process that imports torch
def test_a_server_that_is_stopped_answers_what_it_was_asked(served_run, rows):
    with process(served_run, "--port", 0) as (server, address):
        answers = []
        client = threading.Thread(target=lambda: answers.append(post(address, {"rows": rows[:2]})))
        client.start()
        assert server.stdout.readline() == "computing\n"
        server.send_signal(signal.SIGTERM)
        client.join()
        assert server.wait(60) == 0
        assert server.stderr.read() == ""
    assert [len(each["predictions"]) for each in answers] == [2]


def test_an_address_that_is_taken_is_reported(loaded):
    taken = bound("127.0.0.1", 0)
    port = taken.getsockname()[1]
    try:
        with pytest.raises(InputError, match=rf"port {port} \(.*choose another with --host or"):
            serve(loaded, port=port)
    finally:
        taken.close()
    with pytest.raises(InputError, match=r"cannot listen at \.\., port 0"):
        serve(loaded, host="..", port=0)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such limit")
def test_connections_are_closed_to_clients_that_take_nothing():
    with bound("127.0.0.1", 0) as place:
        close_to_slow_readers(place, 5)
        with socket.create_connection(place.getsockname()), place.accept()[0] as accepted:
            option = socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT
            assert accepted.getsockopt(*option) == 5000


def test_without_its_extra_the_command_names_what_to_install(served_run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "motet.serving.server")
    monkeypatch.setattr(sys, "argv", ["motet", "serve", str(served_run)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert 'pip install "motet[serve]"' in capsys.readouterr().err


FUZZER = shutil.which("schemathesis", path=os.environ.get("SCHEMATHESIS", os.environ["PATH"]))


CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,negative_data_rejection,allow_header_conformance"
)


@pytest.mark.slow
@pytest.mark.skipif(FUZZER is None, reason="no schemathesis on $PATH, or in $SCHEMATHESIS")
def test_fuzzed_requests_get_no_server_error_and_answers_as_documented(served_run, listening):
    with listening(create_app(load(served_run))) as address:
        command = [FUZZER, "run", f"{address}/openapi.json", "--checks", CHECKS, "--seed", "0"]
        command += ["--max-examples", "200", "--no-color"]
        found = subprocess.run(command, capture_output=True, text=True)
        with urllib.request.urlopen(f"{address}/metrics") as response:
            counted = re.findall(r"motet_requests_total.*status=.*", response.read().decode())
    print("\n".join(counted), found.stdout[-2000:])
    assert found.returncode == 0
    assert any('path="/predict",status="200"' in each for each in counted)
    assert not any('status="5' in each for each in counted)
