"""Pictures of strangers: found out by their bytes, decoded and drawn anew, so that nothing else in them gets in.

Pure and slow: `draw` belongs into a thread.
"""

import base64
import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image, ImageOps

from colonnade.ground.core.refusals import BadField
from colonnade.tenancy.agencies import drawings

MOST_BYTES: Final = 2 * 1024 * 1024
LEAST_SIDE: Final = 8
MOST_SIDE: Final = 4096
MEDIA_TYPES: Final = ("image/png", "image/jpeg", "image/svg+xml")

_ENDINGS: Final = dict(zip(MEDIA_TYPES, ("png", "jpg", "svg"), strict=True))
_ALLOWED: Final = "it must be a PNG, a JPEG or an SVG, whatever its name says"
_QUALITY: Final = 90

# The bound that counts is ours, on each side and before anything is decoded; the library's own is a mere warning.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is safe to show: its sort, and its bytes as this house has written them."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> bytes:
        """By which it is known, and addressed."""
        return hashlib.sha256(self.content).digest()

    @property
    def file_name(self) -> str:
        """As its public address ends."""
        return f"{self.digest.hex()}.{_ENDINGS[self.media_type]}"


def draw(content: bytes, pointer: str = "/file") -> Picture:
    """The picture in these bytes, drawn anew; what is no PNG, JPEG or SVG, or too much of one, is a bad field."""
    try:
        picture = _drawn(content)
    except ValueError as error:
        raise BadField(pointer, str(error)) from error
    if len(picture.content) > MOST_BYTES:
        raise BadField(pointer, f"holds more than {MOST_BYTES:,} bytes once it is drawn anew; send a smaller picture")
    return picture


def _drawn(content: bytes) -> Picture:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return Picture("image/png", _redrawn(content, "PNG"))
    if content.startswith(b"\xff\xd8\xff"):
        return Picture("image/jpeg", _redrawn(content, "JPEG"))
    if _may_be_markup(content):
        harmless = drawings.harmless(content)
        _require_bounded_inside(harmless)
        return Picture("image/svg+xml", harmless)
    raise ValueError(f"is none that can be shown; {_ALLOWED}")


def _may_be_markup(content: bytes) -> bool:
    start = content[:256].removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    return start.replace(b"\0", b"").lstrip()[:1] == b"<"


def _redrawn(content: bytes, sort: str) -> bytes:
    """The pixels alone, as this library writes them: no metadata, no second frame, nothing behind the end."""
    with _opened(content, sort) as found:
        _require_bounded(found, LEAST_SIDE)
        pixels = _decoded(found)
    alone = pixels.convert("RGBA" if sort == "PNG" and pixels.has_transparency_data else "RGB")
    alone.info.clear()
    written = BytesIO()
    alone.save(written, sort, optimize=True, **({"quality": _QUALITY} if sort == "JPEG" else {}))
    return written.getvalue()


def _opened(content: bytes, sort: str) -> Image.Image:
    try:
        return Image.open(BytesIO(content), formats=[sort])
    except Exception as error:  # whatever a decoder trips over in bytes of strangers
        raise ValueError(f"begins as a {sort} and cannot be read as one; {_ALLOWED}") from error


def _require_bounded(found: Image.Image, least: int) -> None:
    if not all(least <= side <= MOST_SIDE for side in found.size):
        width, height = found.size
        raise ValueError(f"is {width} x {height} pixels; each side must have {least} to {MOST_SIDE}")
    if getattr(found, "n_frames", 1) > 1:
        raise ValueError("has more than one frame; a logo stands still")


def _require_bounded_inside(drawing: bytes) -> None:
    """The same for the pictures that a drawing carries: what shows it decodes them."""
    for sort, text in drawings.pictures_in(drawing):
        with _opened(base64.b64decode(text), sort) as found:
            _require_bounded(found, 1)


def _decoded(found: Image.Image) -> Image.Image:
    try:
        found.load()
        return ImageOps.exif_transpose(found)
    except Exception as error:
        raise ValueError("is damaged or cut off") from error
