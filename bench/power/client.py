"""What the clients of the run do, and what they believe afterwards. Each answer they got is told to the recording: from the moment it went
out, what it says holds."""

import hashlib
import http.client
import json
import os
import threading


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Client:
    """Calls one server; every call has a connection of its own, by which its answer is found in the recording."""

    def __init__(self, port, told=None, key=None):
        self.port, self.key = port, key
        self.told = told and os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.here = threading.local()

    def call(self, method, path, body=None, headers=None):
        """Status, headers and body."""
        if path.startswith("http"):
            path = "/" + path.split("/", 3)[3]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.connect()
        self.here.port = connection.sock.getsockname()[1]
        try:
            if isinstance(body, (dict, list)):
                body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, {**({"x-api-key": self.key} if self.key else {}), **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None, expect=(200, 201)):
        status, _, answer = self.call(method, path, body, headers)
        if status not in expect:
            raise Refused(f"{method} {path}: {status} {answer[:300]!r}")
        return json.loads(answer or b"null")

    def tell(self, what, **facts):
        """What the last answer of this thread said."""
        os.write(self.told, json.dumps({"what": what, "port": self.here.port, **facts}).encode() + b"\n")

    def asks(self, what, **facts):
        """What is about to be asked for: from now on it may have happened."""
        os.write(self.told, json.dumps({"what": what, **facts}).encode() + b"\n")


class Refused(Exception):
    pass


def form(fields, file=None):
    boundary = "a-boundary-of-this-run"
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    if file:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file[0]}"\r\n\r\n'.encode() + file[1] + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}
