"""Load on a server over loopback: rows per second and latency, with and without joined requests.

Trains a small model, of a table or of texts, and starts two servers of it, one of which computes
every request alone (``batch_rows=1``). Clients with connections of their own send one row per
request to one server and then to the other, in turns, so that both meet the same machine. The
ratios are medians over the rounds. The last line is one client that sends many rows per request.

    python benchmarks/serving.py [--model table|text] [--clients 1,16,64] [--requests 640]
"""

import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

import motet

WORDS = np.array(["a", "good", "bad", "shoe", "hat", "fits", "tight", "warm", "love", "hate"])
MANY = 5_000
SERVER = """
import sys
import motet
from motet.serving import Limits, serve
serve(motet.load(sys.argv[1]), port=0, limits=Limits(batch_rows=int(sys.argv[2])),
      step=lambda line: print(line, flush=True))
"""
TRANSFORMER = {"type": "transformer", "width": 64, "layers": 2}


def table(count=4_000):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(8, count))
    columns = {f"number_{place}": each for place, each in enumerate(numbers)}
    columns["place"] = np.array(["north", "east", "south", "west"])[rng.integers(0, 4, count)]
    columns["spend"] = numbers[0] + 0.5 * numbers[1]
    columns["churn"] = np.where(numbers[2] + rng.normal(size=count) > 0, "yes", "no")
    return pa.table(columns), {"tasks": {"spend": "regression", "churn": "classification"}}


def texts(count=1_000):
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, rng.integers(5, 40))) for _ in range(count)]
    columns = {
        "text": lines,
        "good": ["yes" if line.count("good") > line.count("bad") else "no" for line in lines],
        "length": [float(len(line)) for line in lines],
    }
    return pa.table(columns), {
        "inputs": {"text": {"type": "text", "encoder": TRANSFORMER}},
        "tasks": {"good": "classification", "length": "regression"},
    }


@contextmanager
def server(run, batch_rows):
    command = [sys.executable, "-c", SERVER, str(run), str(batch_rows)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline().rsplit(":", 1)[1])
    finally:
        process.terminate()
        process.wait()


def load(port, bodies, clients):
    """Send bodies from some clients at once; return the seconds of all, and those of each."""
    taken = iter(bodies)
    lock, start, latencies = threading.Lock(), threading.Barrier(clients + 1), []

    def client():
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.connect()
        start.wait()
        while True:
            with lock:
                body = next(taken, None)
            if body is None:
                break
            begin = time.perf_counter()
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise SystemExit(content.decode())
            latencies.append(time.perf_counter() - begin)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for each in threads:
        each.start()
    start.wait()
    begin = time.perf_counter()
    for each in threads:
        each.join()
    if len(latencies) != len(bodies):
        raise SystemExit(f"{len(bodies) - len(latencies)} requests were lost")
    return time.perf_counter() - begin, latencies


def rows_of_a_batch(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = [re.search(rf"motet_batch_rows_{each} (\S+)", text)[1] for each in ("sum", "count")]
    return np.array(found, float)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("table", "text"), default="table")
    parser.add_argument("--clients", default="1,16,64", help="numbers of clients")
    parser.add_argument("--requests", type=int, default=640, help="requests of a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    data, config = table() if options.model == "table" else texts()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        run = Path(folder, "run")
        config["training"] = {"epochs": 1, "analysis": None}
        motet.train(config, data=data, output=run)
        rows = data.drop_columns(list(config["tasks"])).to_pylist()
        single = [json.dumps({"rows": [each]}).encode() for each in rows]
        ports = {name: stack.enter_context(server(run, n)) for name, n in SERVERS.items()}
        for port in ports.values():
            load(port, single[:200], 8)  # warm
        print(
            f"{'clients':>7}  {'server':7}{'rows/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'rows/batch':>12}"
        )
        for clients in map(int, options.clients.split(",")):
            compared(ports, single, clients, options)
        many = json.dumps({"rows": [rows[n % len(rows)] for n in range(MANY)]}).encode()
        seconds = statistics.median(load(ports["joined"], [many], 1)[0] for _ in range(3))
        print(f"one request of {MANY:,} rows: {MANY / seconds:,.0f} rows/s")


SERVERS = {"joined": 1024, "alone": 1}


def compared(ports, bodies, clients, options):
    seconds, latencies, batches = ({name: [] for name in ports} for _ in range(3))
    for turn in range(options.rounds):
        chosen = [bodies[n % len(bodies)] for n in range(options.requests)]
        for name in sorted(ports, reverse=bool(turn % 2)):
            before = rows_of_a_batch(ports[name])
            took, each = load(ports[name], chosen, clients)
            seconds[name].append(took)
            latencies[name].append(np.percentile(each, [50, 99]) * 1e3)
            batches[name].append(rows_of_a_batch(ports[name]) - before)
    for name in ports:
        middle, high = np.median(latencies[name], axis=0)
        rate = options.requests / statistics.median(seconds[name])
        count, number = np.sum(batches[name], axis=0)
        print(f"{clients:7}  {name:7}{rate:9,.0f}{middle:9.1f}{high:9.1f}{count / number:12.1f}")
    faster = np.median(np.divide(seconds["alone"], seconds["joined"]))
    shorter = np.median(np.divide(latencies["alone"], latencies["joined"]), axis=0)
    print(f"{'':9}joined: {faster:.2f}x the rows/s; alone: {shorter[0]:.2f}x the p50, "
          f"{shorter[1]:.2f}x the p99")  # fmt: skip


if __name__ == "__main__":
    main()
