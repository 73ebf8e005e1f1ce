"""Clients: curl for large files, wrk for many requests. Both share the machine with what they measure."""

import os
import pathlib
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent


def timed(run):
    begun = time.monotonic()
    run()
    return time.monotonic() - begun


def curl_at_once(commands):
    """Seconds until all have their answer."""
    def run():
        started = [subprocess.Popen(["curl", "-sS", "--fail-with-body", "-o", "/dev/null", *command]) for command in commands]
        if any([process.wait() for process in started]):
            raise RuntimeError(f"curl failed: {commands[0]}")
    return timed(run)


def wrk(url, seconds, connections, method="GET", path=None, suffix=None, body=None, headers=None, paths=None):
    """Requests a second, milliseconds at the middle and at the 99th percentile, bytes a second."""
    environment = {**os.environ, "LOAD_METHOD": method, "LOAD_RUN": str(time.monotonic_ns()),
                   "LOAD_HEADERS": "\n".join(f"{name}: {value}" for name, value in (headers or {}).items())}
    for name, value in (("PATH", path), ("BODY", body), ("LIST", paths)):
        if value:
            environment[f"LOAD_{name}"] = str(value)
    if suffix:
        environment["LOAD_SUFFIX"] = "" if suffix is True else suffix
    output = subprocess.run(["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", HERE / "load.lua", url],
                            env=environment, check=True, capture_output=True, text=True).stdout
    requests, micros, size, errors, middle, last = map(int, output.split("RESULT ")[1].split())
    if errors:
        raise RuntimeError(f"{errors} of {requests} requests to {url} failed")
    return {"rate": requests / micros * 1e6, "p50": middle / 1000, "p99": last / 1000, "bytes": size / micros * 1e6, "requests": requests}
