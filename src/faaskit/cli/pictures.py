"""The demo's pictures: those that were named, or one drawn for it."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import field, frozen

from faaskit.exceptions import DefinitionError

__all__ = ["Picture", "landscape", "pictures", "printable"]


@frozen
class Picture:
    """
    A picture to be watermarked.

    Attributes:
        path: As the user named it.
        name: Unlike all others', even where upper and lower case are the same.
        data: The file.
    """

    path: str
    name: str
    data: bytes = field(repr=False)


def pictures(paths: Sequence[str], out: Path) -> list[Picture]:
    """
    Read all the pictures, before anything is made.

    Args:
        paths: None at all: one is drawn.
        out: Where the results go: no picture in there is written over.

    Raises:
        DefinitionError: One can't be read.
    """
    if not paths:
        return [Picture("landscape.png", "landscape.png", landscape())]
    results = {_folded(path) for path in paths if Path(path).parent.resolve() == out.resolve()}
    used: set[str] = set()
    return [Picture(path, _name(path, used, results), _read(path)) for path in paths]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except IsADirectoryError:
        msg = f"{printable(path)} is a folder; name the pictures in it: {printable(path)}/*.jpg"
        raise DefinitionError(msg) from None
    except OSError as error:
        msg = f"{printable(path)} can't be read: {error.strerror}"
        raise DefinitionError(msg) from error


def _name(path: str, used: set[str], results: set[str]) -> str:
    """Return the file's name, with a number if its stem is another's: -2, -3 and so on."""
    # By the stem: the results' suffix may be another one.
    given = Path(printable(Path(path).name))
    for number in _numbers():
        name = f"{given.stem}{number}{given.suffix}"
        stem = _folded(name)
        if stem not in used and f"{stem}-watermarked" not in results:
            used.add(stem)
            return name
    raise AssertionError  # there is no last number


def _folded(path: str) -> str:
    return Path(path).stem.casefold()


def _numbers() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in itertools.count(2))


def printable(text: str) -> str:
    """Return a path without what breaks a line, and without bytes that are no text."""
    return "".join(letter if letter.isprintable() else "_" for letter in text)


def landscape() -> bytes:
    """Draw a picture, so that the demo runs anywhere."""
    from PIL import Image, ImageDraw, ImageFilter

    width, height = 1600, 1000
    sky = Image.linear_gradient("L").resize((width, height))
    picture = Image.composite(
        Image.new("RGB", (width, height), (255, 180, 120)),
        Image.new("RGB", (width, height), (40, 70, 140)),
        sky,
    )
    pen = ImageDraw.Draw(picture)
    pen.ellipse((1050, 380, 1290, 620), (255, 235, 190))
    picture = picture.filter(ImageFilter.GaussianBlur(3))
    pen = ImageDraw.Draw(picture)
    for depth, colour in enumerate([(90, 80, 120), (60, 60, 95), (35, 40, 65)]):
        base = 600 + depth * 130
        ridge = [
            (x, base + 70 * math.sin(x / (170 - depth * 40) + depth * 2) + 30 * math.sin(x / 45))
            for x in range(0, width + 20, 20)
        ]
        pen.polygon([(0, height), *ridge, (width, height)], colour)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
