"""The demo's drawing: what a picture is afterwards, beside the text in its corner."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms

from faaskit.cli.watermark import PictureError, draw

SIZE = (320, 200)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, CAMERA = 0x0112, 0x010F


def picture(mode: str) -> Image.Image:
    """Return a gradient, so that what moved or lost bits shows."""
    grey = Image.linear_gradient("L").resize(SIZE)
    if mode in {"L", "1"}:
        return grey.convert(mode)
    if mode == "I;16":
        return grey.convert("I").point(lambda value: value * 256 + 77).convert("I;16")
    if mode == "LA":
        return Image.merge("LA", (grey, ImageChops.invert(grey)))
    sideways = Image.linear_gradient("L").rotate(90).resize(SIZE)
    bands = (grey, sideways, ImageChops.invert(grey), ImageChops.invert(sideways))
    colour = Image.merge("RGB", bands[:3])
    if mode == "P":
        return colour.quantize(64)
    return colour if mode == "RGB" else Image.merge(mode, bands)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the picture as a file of that format."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def drawn(data: bytes) -> Image.Image:
    """Return what comes out for a file."""
    return Image.open(io.BytesIO(draw(data).data))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_png_keeps_its_mode_and_every_pixel_elsewhere(mode: str) -> None:
    """The text is in the lower right corner; nothing else differs, alpha included."""
    before = picture(mode)
    after = drawn(saved(before, "PNG"))
    assert (after.format, after.mode, after.size) == ("PNG", mode, SIZE)
    if mode == "I;16":  # which Pillow can't compare
        before, after = before.convert("I"), after.convert("I")
    above, beside = (0, 0, 320, 150), (0, 0, 160, 200)
    for box in (above, beside):
        assert after.crop(box).tobytes() == before.crop(box).tobytes()
    assert after.tobytes() != before.tobytes()
    corner = after.crop((160, 150, 320, 200))
    grey = corner if mode == "I;16" else corner.convert("RGB").getchannel("R")
    _, brightest = grey.getextrema()
    assert isinstance(brightest, (int, float))
    assert brightest > 0.75 * (65535 if mode == "I;16" else 255)


@pytest.mark.parametrize(
    ("mode", "kind", "mode_after", "kind_after"),
    [
        ("RGB", "JPEG", "RGB", "JPEG"),
        ("L", "JPEG", "L", "JPEG"),
        ("CMYK", "JPEG", "CMYK", "JPEG"),
        ("RGB", "WEBP", "RGB", "WEBP"),
        ("RGBA", "WEBP", "RGBA", "WEBP"),
        ("1", "PNG", "L", "PNG"),
        ("P", "PNG", "RGB", "PNG"),
        ("P", "GIF", "RGB", "PNG"),
        ("CMYK", "TIFF", "RGB", "PNG"),
    ],
)
def test_other_formats_and_modes(mode: str, kind: str, mode_after: str, kind_after: str) -> None:
    """JPEG and WebP stay what they are; what can't take the text's shades gets them."""
    after = drawn(saved(picture(mode), kind))
    assert (after.mode, after.format) == (mode_after, kind_after)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_colour_stays_transparent(mode: str) -> None:
    """A PNG may name one of its colours transparent, without an alpha channel."""
    plain = Image.new(mode, SIZE, 0)
    key: Any = (0, 0, 0) if mode == "RGB" else 0
    after = drawn(saved(plain, "PNG", transparency=key))
    assert after.mode == ("LA" if mode == "L" else "RGBA")
    alpha = after.getchannel("A")
    assert alpha.getpixel((10, 10)) == 0
    assert alpha.getextrema()[1] >= 200  # type: ignore[operator]  # where the text is


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_and_profile_stay_and_orientation_is_applied(kind: str) -> None:
    """A camera's picture, stored on its side, comes out upright and says so."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[CAMERA] = 6, "Acme"
    after = drawn(saved(picture("RGB"), kind, exif=exif, icc_profile=PROFILE))
    assert after.size == SIZE[::-1]
    assert after.getexif().get(CAMERA) == "Acme"
    assert after.getexif().get(ORIENTATION, 1) == 1
    assert after.info["icc_profile"] == PROFILE


def test_exif_of_an_upright_picture_stays_to_the_byte() -> None:
    """Makers' notes hold offsets: what is written anew would break them."""
    exif = Image.Exif()
    exif[CAMERA] = "Acme"
    data = saved(picture("RGB"), "JPEG", exif=exif.tobytes() + b"maker's own")
    assert drawn(data).info["exif"].endswith(b"maker's own")


def test_a_profile_of_inks_does_not_stay_with_rgb() -> None:
    """CMYK can't be kept in a PNG; its profile would distort what is there instead."""
    data = saved(picture("CMYK"), "TIFF", icc_profile=PROFILE)
    assert "icc_profile" not in drawn(data).info


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame(kind: str) -> None:
    """And it is said."""
    frames = [Image.new("RGB", SIZE, colour) for colour in ("navy", "teal", "maroon")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    made = draw(data)
    assert made.note == "only the first of its 3 frames"
    after = Image.open(io.BytesIO(made.data))
    assert getattr(after, "n_frames", 1) == 1
    red, _, blue = after.convert("RGB").getpixel((10, 10))  # type: ignore[misc]
    assert red < 30
    assert blue > 100
    assert draw(saved(frames[0], kind)).note == ""


def test_what_is_no_picture() -> None:
    """Each is told in its own words; no size that a header claims is believed."""
    with pytest.raises(PictureError, match="the file is empty"):
        draw(b"")
    with pytest.raises(PictureError, match="no picture that Pillow can read"):
        draw(b"no picture")
    claim = saved(Image.new("1", (40_000, 30_000)), "PNG")
    with pytest.raises(PictureError, match=r"claims 40,000 x 30,000 pixels.* 80 million"):
        draw(claim)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3)])
def test_smaller_than_the_text(size: tuple[int, int]) -> None:
    """As much of it as there is room for."""
    assert drawn(saved(Image.new("RGBA", size), "PNG")).size == size


_MEASURE = """
import io, resource, sys
from PIL import Image
from faaskit.cli.watermark import draw
out = io.BytesIO()
Image.new("RGB", (64, 64)).save(out, "JPEG")
draw(out.getvalue())
out = io.BytesIO()
Image.new("RGB", (6000, 4000), "teal").save(out, "JPEG")
data = out.getvalue()
"""


def test_a_large_picture_is_held_once() -> None:
    """24 million pixels are 96 MB in Pillow: there is no second layer of that size."""

    def peak_kb(then: str) -> int:
        code = f"{_MEASURE}{then}\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return int(ended.stdout)

    # Making it holds one of them, too, and gives it back before.
    assert peak_kb("draw(data)") - peak_kb("") < 48 * 1024
