"""docs/benchmarks.md and its plots, from what was measured. Every ratio is of medians of one run."""

import pathlib
from statistics import median

import plot

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
RUSTUS = "rustus --force-fsync"
DD = "dd conv=fsync, no network"

HEAD = """# How fast, beside what

Written by `make bench` (bench/run.py); the figures are in bench/results.json beside this page. All of a section runs in one go on one
disk, its peers in turn, after one round to warm up. Values are medians (lowest to highest). The client shares the cores with the
server, and the machine is shared with others: ratios carry over, absolute times do not.

Machine: {machine}.
"""

VERDICTS = """## Targets

| target | measured | |
|---|---|---|
{rows}

What a target that is not met would take is said in its section.
"""


def spread(values, digits=0):
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"


def picture(name, title, unit, rows):
    (DOCS / "bench").mkdir(exist_ok=True)
    (DOCS / f"bench/{name}.svg").write_text(plot.bars(title, unit, rows))
    return f"![{title}](bench/{name}.svg)\n"


def load_of(section):
    return f"{section['rounds']} rounds; load of the machine before them: {section['load']:.1f}."


def size_of(section):
    return f"{section['bytes'] / 1e6:.0f} MB"


def uploads(name, section, title):
    rates, use = section["rates"], section["use"]
    base = median(rates["Reelhouse"])
    rows = []
    for server, values in rates.items():
        of = use.get(server, {})
        rows.append([server, of.get("flushes", "bytes"), spread(values), f"{base / median(values):.2f}", f"{of['cpu']:.2f}" if of else "",
                     f"{of['peak']:.0f}" if of else ""])
    return "\n".join([f"### {title}\n", load_of(section) + "\n",
                      table(["", "flushes", "MB/s", "Reelhouse / it", "CPU s per file", "peak memory, MiB"], rows),
                      picture(name, title, "MB/s", list(rates.items()))])


def write(results):
    verdicts, parts = [], []

    def target(text, value, holds, unit=""):
        verdicts.append(f"| {text} | {value:.2f}{unit} | {'met' if holds(value) else '**not met**'} |")

    if {"big", "many"} & results.keys():
        parts.append("## Large uploads\n\ncurl sends them; Reelhouse looks at each before it answers. `dd` copies the same "
                     "bytes as often at the same time.\n")
    for clients, section in (results.get("big") or {}).items():
        if clients == "load":
            continue
        section["load"] = results["big"]["load"]
        parts.append(uploads(f"uploads-{clients}", section, f"{clients} at a time, of {size_of(section)}"))
        rates = section["rates"]
        ours = median(rates["Reelhouse"])
        target(f"{clients} × {size_of(section)}: at least 0.9 of `dd conv=fsync`", ours / median(rates[DD]), lambda ratio: ratio >= 0.9)
        if RUSTUS in rates:
            target(f"{clients} × {size_of(section)}: at least 1.0 of `{RUSTUS}`", ours / median(rates[RUSTUS]), lambda ratio: ratio >= 1)
    if section := results.get("many"):
        parts.append(uploads("uploads-32", section, f"32 at a time, of {size_of(section)}"))
        rates = section["rates"]
        target(f"32 × {size_of(section)}: at least 0.9 of `dd conv=fsync`", median(rates["Reelhouse"]) / median(rates[DD]), lambda ratio: ratio >= 0.9)
        target(f"32 × {size_of(section)}: memory below 64 MiB", section["use"]["Reelhouse"]["peak"], lambda mib: mib < 64, " MiB")
    if section := results.get("small"):
        rates, use = section["rates"], section["use"]
        base = median(rates["Reelhouse"])
        rows = [[server, use[server]["flushes"], spread(values), f"{base / median(values):.2f}", f"{use[server]['p99']:.0f}",
                 f"{use[server]['cpu']:.2f}", f"{use[server]['peak']:.0f}"] for server, values in rates.items()]
        parts.append("\n".join([
            "## Small files, 16 at a time\n",
            f"A JPEG of {section['bytes'] / 1000:.0f} kB, sent by wrk again and again. Reelhouse checks a key, hashes, checks the picture, "
            f"flushes file and folder and writes a row; the others store bytes. {load_of(section)}\n",
            table(["", "flushes", "files/s", "Reelhouse / it", "p99, ms", "CPU ms per file", "peak memory, MiB"], rows),
            picture("small", "Small files, 16 at a time", "files/s", list(rates.items()))]))
        for name, bar in ((RUSTUS, 1), ("@tus/server, file-store", 3), ("SeaweedFS filer, fsync", 3)):
            if name in rates:
                target(f"100 kB files: at least {bar} of {name}", base / median(rates[name]), lambda ratio, bar=bar: ratio >= bar)
    if section := results.get("answer"):
        rows = [[name, *(spread(values) for values in runs.values())] for name, runs in section["rows"].items()]
        heads = list(next(iter(section["rows"].values())))
        parts.append("\n".join(["## From the first byte to the 201\n", f"The whole of `curl`, HLS included where the original serves as it lies; beside it ffprobe "
                                f"of the same file, a process a time. {load_of(section)}\n", table(["", *(f"{head}, ms" for head in heads)], rows)]))
    if section := results.get("playable"):
        rows, stored = section["rows"], section["stored"]
        base = median(rows["Reelhouse: index, four requests"])
        parts.append("\n".join([
            "## Ten minutes of 1080p until a player has its first segment\n",
            f"The file lies there. Reelhouse reads its tables and answers four requests (two playlists, init, segment); the others write all segments. "
            f"{load_of(section)}\n",
            table(["", "ms", "it / Reelhouse", "bytes stored beside the original"],
                  [[name, spread(values, 1), f"{median(values) / base:.0f}", f"{stored.get(name, stored['Reelhouse']):,}"] for name, values in rows.items()]),
            picture("playable", "Ten minutes of 1080p until the first segment", "ms", list(rows.items()))]))
        target("playable at least 100 times sooner than `ffmpeg -c copy -f hls`", median(rows["ffmpeg -c copy -f hls"]) / base, lambda ratio: ratio >= 100)
        target("extra bytes stored below 0.5 %", stored["Reelhouse"] / section["source"] * 100, lambda share: share < 0.5, " %")
    if section := results.get("players"):
        rows = section["rows"]
        ours, theirs = rows["Reelhouse"], rows["nginx, ready files"]
        parts.append("\n".join([
            "## 200 players pulling segments\n",
            f"wrk with 200 connections over the segments of ten minutes of 1080p. nginx sends files that ffmpeg made, with sendfile; Reelhouse makes "
            f"each head and reads its payload from the original. {load_of(section)}\n",
            table(["", "segments/s", "MB/s", "median, ms", "p99, ms", "CPU ms per segment", "peak memory, MiB"],
                  [[name, spread(row["rate"]), f"{median(row['MB/s']):.0f}", spread(row["p50"], 1), spread(row["p99"], 1), f"{median(row['cpu']):.2f}",
                    f"{row['peak']:.0f}"] for name, row in rows.items()]),
            picture("players", "200 players pulling segments", "segments/s", [(name, row["rate"]) for name, row in rows.items()])]))
        target("segments: at least 0.8 of nginx", median(ours["MB/s"]) / median(theirs["MB/s"]), lambda ratio: ratio >= 0.8)
        target("segments: p99 at most twice nginx's", median(ours["p99"]) / median(theirs["p99"]), lambda ratio: ratio <= 2)
    if section := results.get("pictures"):
        parts.append("\n".join([
            "## From the 201 to the picture\n", load_of(section) + "\n",
            table(["", "Reelhouse, ms", "peer, ms", "peer", "peer / Reelhouse"],
                  [[name, spread(row["Reelhouse"]), spread(row["peer"]), f"`{row['label']}`", f"{median(row['peer']) / median(row['Reelhouse']):.1f}"]
                   for name, row in section["rows"].items()]),
            "A thumbnail is the best of eight keyframes; ffmpegthumbnailer takes one frame at 10 %.\n"]))
    # Written by hand: `make bench-probe`, `make bench-list`, and what the profiles say.
    parts += [(DOCS / f"bench/{page}.md").read_text() for page in ("profiles", "probe", "list") if (DOCS / f"bench/{page}.md").exists()]
    head = HEAD.format(machine=results["machine"])
    (DOCS / "benchmarks.md").write_text("\n".join([head, VERDICTS.format(rows="\n".join(verdicts)), *parts]))
