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


class Films:
    """Two films; each one taken gets a box of noise behind it, which no player minds."""

    def __init__(self, folder):
        def make(name, *options):
            path = folder / name
            subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=5",
                            "-f", "lavfi", "-i", "sine=duration=5", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
                            "-crf", "40", "-c:a", "aac", "-shortest", *options, path], check=True)
            return path.read_bytes()
        self.mp4, self.mkv = make("film.mp4", "-movflags", "+faststart"), make("film.mkv")

    def film(self, random, size):
        noise = random.randbytes(max(0, size - len(self.mp4) - 8))
        return self.mp4 + struct.pack(">I4s", len(noise) + 8, b"free") + noise
