"""A handful of files, and as many different ones of each as one likes."""

import os
import struct
import subprocess


def clip(path, *arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments, str(path)], check=True)
    return path.read_bytes()


def make(folder):
    """Name to bytes: a picture in memory, a video in one request to the store, one in parts, one that must be remuxed."""
    video = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5", "-f", "lavfi", "-i", "sine=duration=5"]
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    noise = ["-f", "lavfi", "-i", "color=gray:size=640x360:rate=25:duration=6,noise=alls=100:allf=t", "-f", "lavfi", "-i", "sine=duration=6"]
    return {
        "picture.jpg": clip(folder / "picture.jpg", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=1:duration=1", "-frames:v", "1"),
        "small.mp4": clip(folder / "small.mp4", *video, *encode, "-movflags", "+faststart"),
        "large.mp4": clip(folder / "large.mp4", *noise, *encode, "-crf", "34", "-movflags", "+faststart"),
        "other.mkv": clip(folder / "other.mkv", *video, *encode),
    }


def another(name, content):
    """The same to whoever looks at it, and other bytes than any before."""
    mark = os.urandom(16)
    if name.endswith(".jpg"):
        # A comment behind the first marker.
        return content[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(mark)) + mark + content[2:]
    if name.endswith(".mp4"):
        return content + struct.pack(">I", 8 + len(mark)) + b"free" + mark
    # Matroska's element Void, at the end of a segment of unknown or known length: what follows it is skipped.
    return content + b"\xec" + bytes([0x80 | len(mark)]) + mark
