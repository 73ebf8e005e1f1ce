"""Files of all sizes, made from a seed: pictures, sounds and films that are taken, each unlike every other."""

import io
import struct
import subprocess
import wave
import zlib


def picture(random, side, noise=True):
    """PNG, as large as noise makes it, three bytes a pixel; or of one row of noise, so that it is small."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    row = b"\0" + random.randbytes(3 * side)
    rows = b"".join(b"\0" + random.randbytes(3 * side) if noise else row for _ in range(side))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + \
        chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def sound(random, size):
    """WAV of noise, 8 kHz, a byte a sample, of so many bytes and its head's 44."""
    held = io.BytesIO()
    with wave.open(held, "wb") as out:
        out.setparams((1, 1, 8000, 0, "NONE", ""))
        out.writeframes(random.randbytes(size))
    return held.getvalue()


def make_films(folder):
    for name, options in (("film.mp4", ["-movflags", "+faststart"]), ("film.mkv", [])):
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5",
                        "-f", "lavfi", "-i", "sine=duration=5", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
                        "-crf", "40", "-c:a", "aac", "-shortest", *options, folder / name], check=True)


class Films:
    """Two films that were made; each MP4 taken gets a box of noise behind it, which no player minds."""

    def __init__(self, folder):
        self.mp4, self.mkv = (folder / "film.mp4").read_bytes(), (folder / "film.mkv").read_bytes()

    def film(self, random, size):
        noise = random.randbytes(max(0, size - len(self.mp4) - 8))
        return self.mp4 + struct.pack(">I4s", len(noise) + 8, b"free") + noise
