"""The demo's app: a bucket whose pictures are watermarked into another one."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from attrs import frozen

from faaskit.app import App
from faaskit.iam import allow

if TYPE_CHECKING:
    from PIL.Image import Image

app = App("photos")
photos = app.bucket("photos")
watermarked = app.bucket("watermarked")

TEXT = "made with faaskit"

_MEMORY_MB = 1024
# Four bytes each, and twice that while a picture is turned upright.
_PIXELS = 80_000_000

# What a picture is saved as; all else becomes a PNG. MPO is a camera's JPEG with more behind it.
_KINDS = {"JPEG": "JPEG", "MPO": "JPEG", "WEBP": "WEBP"}

# Black and white in the modes that are drawn on as they are.
_INKS: dict[str, tuple[Any, Any]] = {
    "L": (0, 255),
    "I;16": (0, 65535),
    "RGB": ((0, 0, 0), (255, 255, 255)),
    "CMYK": ((0, 0, 0, 255), (0, 0, 0, 0)),
}


class PictureError(ValueError):
    """What was given is no picture, or too large a one."""


@frozen
class Drawn:
    """
    A picture with the text in it.

    Attributes:
        data: The file.
        kind: ``jpeg``, ``png`` or ``webp``.
        note: What is not in it that was in the original, or an empty string.
    """

    data: bytes
    kind: str
    note: str


def draw(data: bytes) -> Drawn:
    """
    Put the text into a picture's corner; EXIF data and colour profile stay.

    Raises:
        PictureError: It is none, or has too many pixels.
    """
    from PIL import ImageOps

    picture = _open(data)
    kind = _KINDS.get(picture.format or "", "PNG")
    frames = getattr(picture, "n_frames", 1)
    profile = picture.info.get("icc_profile")
    ImageOps.exif_transpose(picture, in_place=True)
    exif = picture.info.get("exif")  # without the orientation that was just applied
    drawn = _drawable(picture, kind)
    if picture.mode == "CMYK" != drawn.mode:
        profile = None  # it describes inks, and would turn RGB into anything
    _stamp(drawn)
    out = io.BytesIO()
    options = {"exif": exif or b"", "icc_profile": profile}
    # PNG's default level, 6, takes three times as long and saves a twentieth.
    drawn.save(out, kind, quality=90, compress_level=4, **options)
    note = f"only the first of its {frames} frames" if frames > 1 else ""
    return Drawn(out.getvalue(), kind.lower(), note)


def _open(data: bytes) -> Image:
    """Read a picture's header, and refuse what would not fit once it is decoded."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        msg = "the file is empty"
        raise PictureError(msg)
    Image.MAX_IMAGE_PIXELS = None  # the limit below is lower, and says what to do
    try:
        picture = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        msg = "the file is no picture that Pillow can read; try a JPEG, PNG or WebP"
        raise PictureError(msg) from None
    if picture.width * picture.height > _PIXELS:
        msg = (
            f"the picture claims {picture.width:,} x {picture.height:,} pixels, and in "
            f"{_MEMORY_MB} MB there is room for {_PIXELS // 1_000_000} million; make it smaller"
        )
        raise PictureError(msg)
    return picture


def _drawable(picture: Image, kind: str) -> Image:
    """Return the picture in its own mode, or in the nearest that the text can be drawn in."""
    if picture.mode.startswith("I"):  # 16 bits of grey
        return picture if picture.mode == "I;16" else picture.convert("I").convert("I;16")
    grey = picture.mode in {"1", "L", "LA"}
    if picture.has_transparency_data:
        mode = "LA" if grey and kind == "PNG" else "RGBA"
    elif picture.mode == "CMYK" and kind == "JPEG":
        mode = "CMYK"
    else:
        # Of a palette, too: the text's shades need not be in it.
        mode = "L" if grey or picture.mode == "F" else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _stamp(picture: Image) -> None:
    """Draw the text, with a shadow, and touch nothing but what it covers."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(12, min(picture.size) // 16)
    font = ImageFont.load_default(size)
    left, top, right, bottom = map(int, font.getbbox(TEXT, anchor="rs"))
    text = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(text).text((-left, -top), TEXT, 255, font, anchor="rs")
    corner = (picture.width - size + left, picture.height - size + top)
    for white, opacity, offset in ((False, 120, 2), (True, 200, 0)):
        mask = text.point([value * opacity // 255 for value in range(256)])
        place = (corner[0] + offset, corner[1] + offset)
        if picture.mode in _INKS:
            picture.paste(_INKS[picture.mode][white], place, mask)
        else:
            _blend(picture, 255 if white else 0, place, mask)


def _blend(picture: Image, grey: int, place: tuple[int, int], mask: Image) -> None:
    """Draw on what may be transparent itself."""
    from PIL import Image

    ink = Image.new("RGBA", mask.size, (grey, grey, grey))
    ink.putalpha(mask)
    box = (*place, place[0] + mask.width, place[1] + mask.height)
    below = picture.crop(box).convert("RGBA")
    picture.paste(Image.alpha_composite(below, ink).convert(picture.mode), box)


def _watermark(event: Any, _context: Any) -> dict[str, str]:
    key = unquote_plus(event["Records"][0]["s3"]["object"]["key"])
    drawn = draw(photos.get(key).body or b"")
    name = f"{PurePosixPath(key).stem}-watermarked.{drawn.kind}"
    watermarked.put(name, drawn.data, content_type=f"image/{drawn.kind}")
    return {"output": name, "note": drawn.note}


@photos.on("s3:ObjectCreated:*", prefix="raw/")
@app.function(memory_size=_MEMORY_MB, timeout=30, retry_attempts=0)
@allow("s3:GetObject", on=photos.objects("raw/*"))
@allow("s3:PutObject", on=watermarked.objects("*"))
def watermark(event: Any, context: Any) -> dict[str, str]:
    """Watermark the picture that the event is about; return its new name."""
    return _watermark(event, context)


@app.function(memory_size=_MEMORY_MB, timeout=30)
@allow("s3:GetObject", on=photos.objects("raw/*"))
def watermark_denied(event: Any, context: Any) -> dict[str, str]:
    """Do the same with a role that lacks s3:PutObject."""
    return _watermark(event, context)
