"""The demo's app: a bucket whose pictures are watermarked into another one."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote_plus

from faaskit.app import App
from faaskit.iam import allow

app = App("photos")
photos = app.bucket("photos")
watermarked = app.bucket("watermarked")

TEXT = "made with faaskit"


def draw(data: bytes) -> tuple[bytes, str]:
    """Return a picture with the text in its corner, and its content type."""
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    with Image.open(io.BytesIO(data)) as opened:
        kind = opened.format if opened.format in {"JPEG", "PNG", "WEBP"} else "PNG"
        upright = ImageOps.exif_transpose(opened)
        if upright.mode.startswith("I"):
            # 16 bits a pixel; convert() alone would cut all but the darkest off to white.
            upright = upright.convert("I").point(lambda value: value / 256).convert("L")
        picture = upright.convert("RGBA")
    layer = Image.new("RGBA", picture.size)
    size = max(12, min(picture.size) // 16)
    pen, font = ImageDraw.Draw(layer), ImageFont.load_default(size)
    place = (picture.width - size, picture.height - size)
    pen.text((place[0] + 2, place[1] + 2), TEXT, (0, 0, 0, 120), font, anchor="rs")
    pen.text(place, TEXT, (255, 255, 255, 200), font, anchor="rs")
    done = Image.alpha_composite(picture, layer)
    out = io.BytesIO()
    (done.convert("RGB") if kind == "JPEG" else done).save(out, kind, quality=90)
    return out.getvalue(), f"image/{kind.lower()}"


def _watermark(event: Any, _context: Any) -> str:
    key = unquote_plus(event["Records"][0]["s3"]["object"]["key"])
    print(f"picture {key}", flush=True)
    data, content_type = draw(photos.get(key).body or b"")
    name = f"{PurePosixPath(key).stem}-watermarked.{content_type.partition('/')[2]}"
    watermarked.put(name, data, content_type=content_type)
    return name


@photos.on("s3:ObjectCreated:*", prefix="raw/")
@app.function(memory_size=1024, timeout=30, retry_attempts=0)
@allow("s3:GetObject", on=photos.objects("raw/*"))
@allow("s3:PutObject", on=watermarked.objects("*"))
def watermark(event: Any, context: Any) -> str:
    """Watermark the picture that the event is about; return its new name."""
    return _watermark(event, context)


@app.function(memory_size=1024, timeout=30)
@allow("s3:GetObject", on=photos.objects("raw/*"))
def watermark_denied(event: Any, context: Any) -> str:
    """Do the same with a role that lacks s3:PutObject."""
    return _watermark(event, context)
