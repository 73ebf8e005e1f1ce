"""Takes the guards of guards.toml out, one after the other, in a copy below target/, and sees that a test fails each time.

    python3 scripts/guards.py [WORD …]    those whose item or guard has one of the words; all without any

Ends in failure where a test does not notice, where what should be replaced is not there any more, and where the tests fail
with all guards in place, since then they show nothing."""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "target/guards"
TREE = PLACE / "tree"
# Of cargo-nextest: tests failed, what was changed does not compile.
FAILED, NOT_BUILT = 100, 101


def copy():
    """The files of this working tree, and the page that the server embeds. What is the same stays as old as it is."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = {Path(name) for name in names if name and (ROOT / name).is_file()}
    files |= {path.relative_to(ROOT) for path in (ROOT / "web/dist").rglob("*") if path.is_file()}
    for path in [path for path in TREE.rglob("*") if path.is_file() and path.relative_to(TREE) not in files]:
        path.unlink()
    for name in files:
        source, target = ROOT / name, TREE / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            # As of now: what was built of another text is older.
            shutil.copy(source, target)


def run(tests):
    """Runs tests, each "PACKAGE TARGET NAME"; returns the status and what was said."""
    words = [test.split() for test in tests]
    targets = {target for _, target, _ in words}
    # Those that are no unit tests start the programs, which the server's own bring along.
    if targets != {"lib"}:
        targets |= {"it"}
    command = ["cargo", "nextest", "run", "--workspace", "--locked", "--profile", "guards", "--no-fail-fast"]
    for target in sorted(targets):
        command += ["--lib"] if target == "lib" else ["--test", target]
    command += ["-E", " | ".join(f"(package({package}) & test(/{name}/))" for package, _, name in words)]
    environment = {**os.environ, "CARGO_TERM_COLOR": "never", "RUST_BACKTRACE": "0"}
    environment.setdefault("CARGO_TARGET_DIR", str(PLACE / "build"))
    if any(package == "reelhouse-media" and target == "it" for package, target, _ in words):
        # Its tests start an example, too.
        example = ["cargo", "build", "--quiet", "--workspace", "--locked", "--example", "hostile-reader"]
        subprocess.run(example, cwd=TREE, env=environment, capture_output=True)
    done = subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def take_out(guard):
    """Changes the copy; returns what stood there, by file."""
    before = {}
    for name, old, new in guard["out"]:
        text = (TREE / name).read_text()
        before.setdefault(name, text)
        if text.count(old) != 1:
            put_back(before)
            raise LookupError(f"{text.count(old)} times in {name}, where it should be once: {old!r}")
        (TREE / name).write_text(text.replace(old, new))
    return before


def put_back(before):
    for name, text in before.items():
        (TREE / name).write_text(text)


def judge(guard):
    """Why a guard is not known to be one; nothing where its test failed, and said what it should."""
    try:
        before = take_out(guard)
    except LookupError as error:
        return str(error)
    try:
        status, said = run([guard["test"]])
    finally:
        put_back(before)
    (PLACE / "said.txt").write_text(said)
    if status != (NOT_BUILT if guard.get("compiler") else FAILED):
        return {0: "no test noticed", NOT_BUILT: "does not compile"}.get(status, f"status {status}") + f"\n{said[-2000:]}"
    says = guard.get("says", "")
    return "" if says in said else f"the test failed, and did not say {says!r}\n{said[-4000:]}"


def main(words):
    guards = tomllib.loads((ROOT / "scripts/guards.toml").read_text())["guard"]
    chosen = [it for it in guards if not words or any(word in it["item"] + it["guard"] for word in words)]
    if not chosen:
        sys.exit("no item has this word")
    copy()
    status, said = run({it["test"] for it in chosen})
    if status != 0:
        sys.exit(f"with all guards in place, tests fail, or do not run:\n{said[-8000:]}")
    wrong = 0
    for guard in chosen:
        begun = time.monotonic()
        problem = judge(guard)
        wrong += bool(problem)
        took = f"{time.monotonic() - begun:.0f} s"
        print(f"{'NOT CAUGHT' if problem else 'caught'}: {guard['item']}: {guard['guard']} ({took}) {problem}", flush=True)
    sys.exit(f"{wrong} of {len(chosen)} guards are not shown to be guarded by a test" if wrong else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
