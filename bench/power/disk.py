"""What a file system may leave of a folder when the power goes: all that was flushed, and of the rest anything.

A flushed file has its bytes and its size, a flushed folder its names; neither makes the other's last. What was not flushed is there
or not: each page of a write (or only some of its sectors), each size, each name by itself, in no order. Two things are taken for granted, as
every journalling file system has them: a rename is one change, so that there is the old name or the new one, and a
sector of 512 bytes is the old one or the new one.
"""

import dataclasses
import functools
import hashlib
import os

PAGE, SECTOR = 4096, 512


class File:
    def __init__(self):
        self.flushed = bytearray()
        self.size = 0
        # (line, what, …), in their order.
        self.pending = []
        self.content = Content(b"")

    def flush(self, before):
        covered = [write for write in self.pending if write[0] < before]
        if covered:
            self.pending = self.pending[len(covered):]
            self.flushed = after(self.flushed, covered, lambda: True, lambda: PAGE)
            self.content = Content(bytes(self.flushed))


class Content:
    """Bytes, and their hash once it is asked for: most of what is left is the same from state to state."""

    def __init__(self, data):
        self.data = data

    @functools.cached_property
    def hash(self):
        return hashlib.blake2b(self.data).digest()


def after(flushed, writes, sized, kept):
    """The bytes when some writes came through. `sized` says whether a size did, `kept` how many bytes of a page did."""
    found, size = bytearray(flushed), len(flushed)
    for _, what, at, data in writes:
        if what == "write":
            end = at + len(data)
            start = at
            while start < end:
                stop = min(end, start // PAGE * PAGE + PAGE)
                keep = min(stop, start // PAGE * PAGE + kept())
                if keep > start:
                    if len(found) < start:
                        found.extend(bytes(start - len(found)))
                    found[start:keep] = data[start - at:keep - at]
                start = stop
            if sized():
                size = max(size, end)
        elif sized():
            # "cut" and "extend"
            if what == "cut":
                del found[at:]
                size = at
            else:
                size = max(size, at)
    return found[:size].ljust(size, b"\0")


class Folder:
    def __init__(self):
        self.flushed, self.now = {}, {}


@dataclasses.dataclass
class Change:
    """Names that change together: (folder, name, what it names from then on, or None)."""

    line: int
    names: list


class Disk:
    """A folder and all that is below it; empty at the beginning, and there whatever happens."""

    def __init__(self):
        self.root = Folder()
        self.pending = []
        # Where a descriptor of a file writes next; at the file's end where that is not known.
        self.places = {}

    def find(self, path):
        node = self.root
        for name in path.split("/") if path else []:
            node = node.now[name]
        return node

    def parent(self, path):
        folder, _, name = path.rpartition("/")
        return self.find(folder), name

    def change(self, line, names):
        for folder, name, node in names:
            if node is None:
                del folder.now[name]
            else:
                folder.now[name] = node
        self.pending.append(Change(line, names))

    def take(self, call):
        """What the call changes."""
        name, arguments = call.name, call.arguments
        if name == "flush all":
            for node in self.nodes():
                self.flush(node, call.begin)
            return
        path = arguments[0]
        if path.endswith("-shm"):
            return
        if name == "flush":
            self.flush(self.find(path), call.begin)
        elif name == "open":
            folder, last = self.parent(path) if path else (None, None)
            if folder and last not in folder.now:
                if not arguments[1] or arguments[3]:
                    raise ValueError(f"opened, and never made: {path}")
                self.change(call.end, [(folder, last, File())])
            elif arguments[2] and folder:
                folder.now[last].size = 0
                folder.now[last].pending.append((call.end, "cut", 0, b""))
            if folder and not isinstance(folder.now[last], Folder):
                self.places[(arguments[5], folder.now[last])] = None if arguments[4] else 0
        elif name == "seek":
            self.places[(arguments[2], self.find(path))] = arguments[1]
        elif name == "write":
            file, (_, offset, data, handle) = self.find(path), arguments
            if offset is None:
                place = self.places.get((handle, file))
                offset = file.size if place is None else place
                if place is not None:
                    self.places[(handle, file)] = offset + len(data)
            file.size = max(file.size, offset + len(data))
            file.pending.append((call.end, "write", offset, data))
        elif name in ("cut", "extend"):
            file = self.find(path)
            file.size = arguments[1] if name == "cut" else max(file.size, arguments[1])
            file.pending.append((call.end, name, arguments[1], b""))
        elif name == "mkdir":
            self.change(call.end, [(*self.parent(path), Folder())])
        elif name in ("unlink", "rmdir"):
            self.change(call.end, [(*self.parent(path), None)])
        elif name in ("rename", "link"):
            node, target = self.find(path), self.parent(arguments[1])
            gone = [(*self.parent(path), None)] if name == "rename" else []
            self.change(call.end, [*gone, (*target, node)])
        else:
            raise ValueError(f"not modelled: {name}")

    def flush(self, node, before):
        if isinstance(node, File):
            node.flush(before)
            return
        still = []
        for change in self.pending:
            if change.line >= before or all(folder is not node for folder, _, _ in change.names):
                still.append(change)
                continue
            settled = {(id(folder), name) for folder, name, _ in change.names}
            for earlier in still:
                earlier.names = [part for part in earlier.names if (id(part[0]), part[1]) not in settled]
            for folder, name, target in change.names:
                if target is None:
                    folder.flushed.pop(name, None)
                else:
                    folder.flushed[name] = target
        self.pending = [change for change in still if change.names]

    def nodes(self):
        """All that has a name or may have one."""
        found, waiting = {}, [self.root]
        while waiting:
            node = waiting.pop()
            if id(node) not in found:
                found[id(node)] = node
                if isinstance(node, Folder):
                    waiting += [*node.flushed.values(), *node.now.values()]
        for change in self.pending:
            found.update({id(node): node for _, _, node in change.names if node})
        return found.values()

    def left(self, way, random):
        """What is left: {path: Content, or None for a folder}. `way` is one of WAYS."""
        named, sized, kept = WAYS[way](random)
        names = {}
        for change in self.pending:
            if named():
                for folder, name, node in change.names:
                    names.setdefault(id(folder), {})[name] = node
        state = {}

        def walk(folder, path):
            entries = {**folder.flushed, **names.get(id(folder), {})}
            for name, node in entries.items():
                if isinstance(node, Folder):
                    state[path + name] = None
                    walk(node, f"{path}{name}/")
                elif node:
                    state[path + name] = Content(bytes(after(node.flushed, node.pending, sized, kept))) if node.pending else node.content

        walk(self.root, "")
        return state


def some(random):
    """Each by itself, with a likelihood that differs from state to state."""
    likely = [random.choice((0.1, 0.5, 0.9)) for _ in range(3)]

    def kept():
        if random.random() >= likely[2]:
            return 0
        return random.randrange(0, PAGE, SECTOR) if random.random() < 0.1 else PAGE

    return lambda: random.random() < likely[0], lambda: random.random() < likely[1], kept


def way(named, sized, kept):
    return lambda _: (lambda: named, lambda: sized, lambda: PAGE if kept else 0)


WAYS = {
    "nothing else": way(False, False, False),
    "all": way(True, True, True),
    "names, empty files": way(True, False, False),
    "names and sizes, zeros": way(True, True, False),
    "data, no names": way(False, True, True),
    "some": some,
}


def digest(state):
    hashed = hashlib.blake2b()
    for path in sorted(state):
        hashed.update(path.encode(errors="surrogateescape") + b"\0" + (state[path].hash if state[path] else b""))
    return hashed.digest()


def write(state, folder):
    os.mkdir(folder)
    for path in sorted(state):
        if state[path] is None:
            os.mkdir(f"{folder}/{path}")
        else:
            with open(f"{folder}/{path}", "wb") as file:
                file.write(state[path].data)


def read(folder):
    """A real folder as a state."""
    state = {}
    for at, folders, files in os.walk(folder):
        below = os.path.relpath(at, folder)
        prefix = "" if below == "." else below + "/"
        state.update({prefix + name: None for name in folders})
        for name in files:
            if not name.endswith("-shm"):
                with open(f"{at}/{name}", "rb") as file:
                    state[prefix + name] = Content(file.read())
    return state
