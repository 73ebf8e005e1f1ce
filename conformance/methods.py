"""Which methods of the SDK there are, and which a test called; kept in .ran/ like methods.mjs does."""

import inspect
import json
import pathlib
import re

RAN = pathlib.Path(__file__).resolve().parent / ".ran"
# The parts of the SDK that this server answers.
AREAS = ["assets", "indexes", "indexes.indexed_assets", "multipart_upload"]


def camel(name):
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


class Watched:
    """A client, or a part of one, that notes what is called on it."""

    def __init__(self, target, path, methods, called):
        self._target, self._path, self._methods, self._called = target, path, methods, called

    def __getattr__(self, name):
        value = getattr(self._target, name)
        path = f"{self._path}.{name}" if self._path else name
        if path in self._methods:
            self._called.add(path)
        if any(area == path or area.startswith(f"{path}.") for area in AREAS):
            return Watched(value, path, self._methods, self._called)
        return value


class Notes:
    """What there is, and what was called."""

    def __init__(self, client):
        self.methods, self.called = set(), set()
        for area in AREAS:
            resource = client
            for part in area.split("."):
                resource = getattr(resource, part)
            names = [name for name, _ in inspect.getmembers(type(resource), inspect.isfunction)]
            self.methods |= {f"{area}.{name}" for name in names if not name.startswith("_")}
        self.client = Watched(client, "", self.methods, self.called)

    def keep(self, sdk, file):
        RAN.mkdir(exist_ok=True)
        notes = {"sdk": sdk, "all": sorted(map(camel, self.methods)), "called": sorted(map(camel, self.called))}
        (RAN / f"{sdk}, {file}.json").write_text(json.dumps(notes))
