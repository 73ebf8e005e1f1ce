"""Takes the guards of guards.toml out, one after the other, in a copy below target/, and sees that a test fails each time.

Ends in failure where a test does not notice, where what should be replaced is not there any more, and where the tests fail
with all guards in place, since then they show nothing."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "target/guards"
TREE = PLACE / "tree"
# Of cargo-nextest: what was changed does not compile.
NOT_BUILT = 101


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


def take_out(guard, before):
    """Changes the copy; keeps what stood there, by file. Says what is wrong, if something is."""
    for name, old, new in guard["out"]:
        text = (TREE / name).read_text()
        before.setdefault(name, text)
        if text.count(old) != 1:
            return f"{text.count(old)} times in {name}, where it should be once: {old!r}"
        (TREE / name).write_text(text.replace(old, new))
    return ""


def judge(group):
    """Why each is not known to be a guard; nothing where its test failed, and said what it should."""
    before = {}
    try:
        problems = [take_out(guard, before) for guard in group]
        status, said = run([guard["test"] for guard in group]) if not any(problems) else (0, "")
    finally:
        for name, text in before.items():
            (TREE / name).write_text(text)
    (PLACE / "said.txt").write_text(said)
    for guard, problem in zip(group, problems):
        package, _, name = guard["test"].split()
        failed = re.search(rf"(FAIL|TIMEOUT|SIG\w+) \[.*\] .*{package}\S* \S*{name}", said)
        if any(problems):
            yield problem or "not tried, because of another"
        elif (status == NOT_BUILT) != guard.get("compiler", False):
            yield f"it does not compile, or should not:\n{said[-2000:]}"
        elif not failed and status != NOT_BUILT:
            yield "no test noticed"
        else:
            says = guard.get("says", "")
            panics = "".join(re.findall(r"panicked at .*\n(?:.+\n){1,9}", said))
            yield "" if says in said else f"the test failed, and did not say {says!r}:\n{panics}"


def groups(guards, together):
    """So many at once that share neither a test nor a file; what does not compile, alone."""
    batches = []
    for guard in guards:
        held = {guard["test"], *(name for name, _, _ in guard["out"])}
        clash = [any(held & others or it.get("compiler") for others, it in batch) for batch in batches]
        fits = [batch for batch, clashes in zip(batches, clash) if len(batch) < together and not clashes]
        if guard.get("compiler") or not fits:
            batches.append([(held, guard)])
        else:
            fits[0].append((held, guard))
    return [[guard for _, guard in batch] for batch in batches]


def main(words, together):
    guards = tomllib.loads((ROOT / "scripts/guards.toml").read_text())["guard"]
    chosen = [it for it in guards if not words or any(word in it["item"] + it["guard"] for word in words)]
    copy()
    status, said = run({it["test"] for it in chosen})
    if status != 0:
        sys.exit(f"with all guards in place, tests fail, or do not run:\n{said[-8000:]}")
    wrong = 0
    for group in groups(chosen, together):
        for guard, problem in zip(group, judge(group)):
            wrong += bool(problem)
            print(f"{'NOT CAUGHT' if problem else 'caught'}: {guard['item']}: {guard['guard']} {problem}", flush=True)
    sys.exit(f"{wrong} of {len(chosen)} guards are not shown to be guarded by a test" if wrong else 0)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--together", type=int, default=1, help="take so many out at once: quicker, not as sure")
    arguments.add_argument("words", nargs="*", help="only those whose item or guard has one of them")
    main(**vars(arguments.parse_args()))
