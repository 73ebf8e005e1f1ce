"""Records what a command does to a folder: every call that changes files or names there, with its data, every flush, and what clients
were told meanwhile, in one order. By strace, which sees raw system calls, too, and needs no rights over processes of one's own.

`read` gives calls in the order of their ends. A call's effect is counted at its end; a flush covers what had ended before it began.
"""

import dataclasses
import os
import re
import subprocess

CHANGES = ("creat open openat openat2 write pwrite64 writev pwritev pwritev2 truncate ftruncate fallocate rename renameat renameat2 "
           "link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir copy_file_range sendfile splice ioctl mmap "
           "io_uring_setup lseek").split()
FLUSHES = "fsync fdatasync sync syncfs".split()
# What a server answers goes out by one of these (or by a write).
ANSWERS = "sendto sendmsg".split()


@dataclasses.dataclass
class Call:
    """`begin` and `end` are lines of the log. What it is about are nodes' paths below the folder, bytes and numbers."""

    begin: int
    end: int
    name: str
    arguments: tuple


def run(command, log, **options):
    """Runs a command to its end; what it and all below it do is in the log."""
    traced = ",".join(CHANGES + FLUSHES + ANSWERS)
    subprocess.run(["strace", "-f", "-yy", "-xx", "-s", str(1 << 26), "-qq", "-e", "signal=none", "--seccomp-bpf", "-o", log,
                    "-e", f"trace={traced}", *command], check=True, **options)


LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)", re.S)
ENDED = re.compile(r"(.*)\) += (-?\d+|0x[0-9a-f]+|\?)(.*)", re.S)
HEX = r"((?:\\x[0-9a-f]{2})*)"
AT = re.compile(rf"(?:AT_FDCWD|-?\d+)(?:<{HEX}>(\(deleted\))?)?")
TEXT = re.compile(rf'"{HEX}"')
ANSWER = re.compile(r"\d+<TCP:\[127\.0\.0\.1:\d+->127\.0\.0\.1:(\d+)\]>")


def decoded(text):
    return bytes.fromhex(text.replace("\\x", ""))


def whole_calls(log):
    """(begin, end, name, arguments, result, what follows it) of each call that ended."""
    begun = {}
    with open(log, encoding="ascii") as lines:
        for number, line in enumerate(lines):
            found = LINE.match(line.rstrip("\n"))
            if not found:
                continue
            pid, resumed, name, rest = found.groups()
            if resumed:
                begin, name, before = begun.pop(pid)
                rest = before + rest
            else:
                begin = number
            if rest.endswith("<unfinished ...>"):
                begun[pid] = (begin, name, rest[:-len("<unfinished ...>")].rstrip())
                continue
            ended = ENDED.fullmatch(rest)
            if ended and ended[2] != "?":
                yield begin, number, name, ended[1], ended[2], ended[3]


class Reader:
    """Reads calls about one folder, and markers: what is written to the file `told`."""

    def __init__(self, root, told):
        self.root, self.told = os.path.realpath(root), os.path.realpath(told)

    def below(self, path):
        """A path below the folder, `` for the folder; None for another."""
        path = os.path.normpath(path)
        if path == self.root:
            return ""
        return path[len(self.root) + 1:] if path.startswith(self.root + "/") else None

    def handle(self, argument):
        """The path of a descriptor, if it is of a file that has a name."""
        found = AT.match(argument)
        if not found or not found[1] or found[2]:
            return None
        return decoded(found[1]).decode(errors="surrogateescape")

    def named(self, folder, argument):
        """What a name means, below the folder; `folder` is the descriptor it is relative to, or None for the working directory."""
        path = decoded(TEXT.match(argument)[1]).decode(errors="surrogateescape")
        if not path.startswith("/"):
            base = self.handle(folder) if folder else None
            if base is None:
                return None
            path = f"{base}/{path}"
        return self.below(path)

    def read(self, log):
        for begin, end, name, arguments, result, after in whole_calls(log):
            if name in ("sendto", "sendmsg", "write", "writev") and (answer := ANSWER.match(arguments)):
                yield Call(begin, end, "answer", (int(answer[1]),))
            elif not result.startswith("-"):
                for call in self.calls(name, arguments, result, after):
                    yield Call(begin, end, *call)

    def calls(self, name, arguments, result, after):
        parts = arguments.split(", ")
        if name in ("write", "pwrite64", "writev", "pwritev", "pwritev2"):
            path = self.handle(parts[0])
            if path == self.told:
                yield "told", (decoded(TEXT.match(parts[1])[1]).decode(),)
            elif path is not None and (path := self.below(path)) is not None:
                data = b"".join(decoded(text) for text in TEXT.findall(arguments))[:int(result)]
                offset = int(parts[-1]) if name in ("pwrite64", "pwritev") else int(parts[-2]) if name == "pwritev2" else None
                yield "write", (path, offset, data, int(parts[0].partition("<")[0]))
        elif name in ("open", "openat", "creat", "openat2"):
            path = self.handle(result + after)
            if path is not None and (path := self.below(path)) is not None:
                yield "open", (path, name == "creat" or "O_CREAT" in arguments, name == "creat" or "O_TRUNC" in arguments,
                               "O_TMPFILE" in arguments, "O_APPEND" in arguments, int(result))
        elif name == "lseek":
            path = self.handle(parts[0])
            if path is not None and (path := self.below(path)) is not None:
                yield "seek", (path, int(result), int(parts[0].partition("<")[0]))
        elif name in ("fsync", "fdatasync"):
            path = self.handle(parts[0])
            if path is not None and (path := self.below(path)) is not None:
                yield "flush", (path,)
        elif name in ("sync", "syncfs"):
            yield "flush all", ()
        elif name in ("ftruncate", "fallocate"):
            path = self.handle(parts[0])
            if path is not None and (path := self.below(path)) is not None:
                if name == "ftruncate":
                    yield "cut", (path, int(parts[1]))
                elif parts[1] == "0":
                    yield "extend", (path, int(parts[2]) + int(parts[3]))
                elif parts[1] != "FALLOC_FL_KEEP_SIZE":
                    self.not_known(name, arguments)
        elif name in ("mkdir", "rmdir", "unlink", "truncate"):
            if (path := self.named(None, parts[0])) is not None:
                yield ("cut", (path, int(parts[1]))) if name == "truncate" else (name, (path,))
        elif name in ("mkdirat", "unlinkat"):
            if (path := self.named(parts[0], parts[1])) is not None:
                yield "mkdir" if name == "mkdirat" else "rmdir" if "AT_REMOVEDIR" in arguments else "unlink", (path,)
        elif name in ("rename", "link", "renameat", "renameat2", "linkat"):
            plain = name in ("rename", "link")
            pair = [self.named(None, part) for part in parts[:2]] if plain else [self.named(*parts[:2]), self.named(*parts[2:4])]
            if pair != [None, None]:
                if None in pair or "RENAME_EXCHANGE" in arguments:
                    self.not_known(name, arguments)
                yield "rename" if name.startswith("rename") else "link", tuple(pair)
        elif name == "mmap":
            # SQLite's index of its WAL is made anew by who opens the database first.
            if "MAP_SHARED" in arguments and "PROT_WRITE" in arguments and self.is_ours(parts[4]) and not self.handle(parts[4]).endswith("-shm"):
                self.not_known(name, arguments)
        elif name == "io_uring_setup" or name in ("symlink", "symlinkat") and self.names_ours(parts) or \
                name in ("sendfile", "copy_file_range", "splice") and self.is_ours(parts[{"sendfile": 0}.get(name, 2)]) or \
                name == "ioctl" and "FICLONE" in arguments and self.is_ours(parts[0]):
            self.not_known(name, arguments)

    def is_ours(self, argument):
        """Whether a descriptor is of a file below the folder."""
        path = self.handle(argument)
        return path is not None and self.below(path) is not None

    def names_ours(self, arguments):
        """Whether one of the arguments is the name of something below the folder."""
        return any(self.named(None, argument) is not None for argument in arguments if TEXT.match(argument))

    @staticmethod
    def not_known(name, arguments):
        raise ValueError(f"a call that is not modelled: {name}({arguments[:300]})")
