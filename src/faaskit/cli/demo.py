"""``faaskit demo``: pictures in, watermarked pictures out, each by a call with its bill."""

from __future__ import annotations

import argparse
import io
import itertools
import logging
import math
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from faaskit.billing import estimate
from faaskit.exceptions import DefinitionError, MissingExtraError, SandboxError
from faaskit.invoke import Invocation
from faaskit.testing import s3_event

__all__ = ["demo"]

_CONCURRENCY = 4
_MILLION = 1_000_000
_PATIENCE_S = 90  # three times what a call may take


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo; 1 if a picture could not be watermarked."""
    _need_extra()
    pictures = list(_pictures(arguments.images))
    out = Path(arguments.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the folder for the results can't be made: {error}"
        raise DefinitionError(msg) from error
    # What is not held is what `faaskit doctor` is for, and a picture that is none is told
    # in its row.
    logging.getLogger("faaskit").setLevel(logging.CRITICAL)
    from faaskit.cli.watermark import app, photos, watermark_denied, watermarked

    with app:
        ended = _deliver(pictures)
        for item in watermarked.list():
            (out / item.key).write_bytes(watermarked.get(item.key).body or b"")
        _print_table(ended)
        _print_bill(list(ended.values()))
        key = f"raw/{pictures[0][0]}"
        denied = watermark_denied.invoke(s3_event(photos.name, key))
        print("\nThe same without s3:PutObject in the role:")
        print(f"  {denied.payload['errorType']}: {denied.payload['errorMessage']}")
    failed = [name for name, invocation in ended.items() if not invocation.ok]
    print(f"\n{len(ended) - len(failed)} of {len(ended)} pictures are in {out}/")
    return 1 if failed else 0


def _need_extra() -> None:
    try:
        import PIL
        import tqdm
    except ImportError as error:
        msg = f"the demo needs Pillow and tqdm ({error}): pip install 'faaskit[demo]'"
        raise MissingExtraError(msg, extra="demo") from error
    del PIL, tqdm


def _pictures(paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each picture's name, unlike all others, and its bytes; all or an error."""
    if not paths:
        yield "landscape.png", landscape()
        return
    used: set[str] = set()
    for path in map(Path, paths):
        try:
            data = path.read_bytes()
        except OSError as error:
            msg = f"{path} can't be read: {error.strerror}"
            raise DefinitionError(msg) from error
        names = (f"{path.stem}{number}{path.suffix}" for number in _numbers())
        # By the stem: the results' suffix may be another one.
        name = next(name for name in names if Path(name).stem not in used)
        used.add(Path(name).stem)
        yield name, data


def _numbers() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in itertools.count(2))


def _deliver(pictures: Sequence[tuple[str, bytes]]) -> dict[str, Invocation]:
    """Put the pictures into the bucket and wait for the invocations that follow."""
    from tqdm import tqdm

    from faaskit.cli.watermark import app, photos

    ended: list[Invocation] = []
    done = threading.Semaphore(0)

    def note(invocation: Invocation) -> None:
        ended.append(invocation)
        done.release()

    with app.running(concurrency=_CONCURRENCY, on_delivery=note):
        for name, data in pictures:
            photos.put(f"raw/{name}", data)
        for _ in tqdm(pictures, unit="picture", file=sys.stderr):
            if not done.acquire(timeout=_PATIENCE_S):
                msg = (
                    f"no picture was finished within {_PATIENCE_S} s, and {len(app.pending())} "
                    "wait; `faaskit doctor` says whether invocations work here"
                )
                raise SandboxError(msg, step="deliver")
    order = {name: place for place, (name, _) in enumerate(pictures)}
    found = {_picture_of(invocation): invocation for invocation in ended}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def _picture_of(invocation: Invocation) -> str:
    """Return whose invocation it is; it says so first of all, and then may fail."""
    found = re.search(r"^picture raw/(.+)$", invocation.logs, re.MULTILINE)
    return found[1] if found else invocation.request_id


def _print_table(ended: dict[str, Invocation]) -> None:
    rows: list[Sequence[Any]] = [
        ("picture", "request", "status", "duration", "billed", "memory used", "cost")
    ]
    for name, invocation in ended.items():
        meter = invocation.meter
        rows.append(
            (
                name,
                invocation.request_id,
                invocation.status,
                f"{meter.duration_ms:.0f} ms",
                f"{meter.billed_duration_ms} ms",
                f"{meter.max_memory_used_mb} MB",
                f"${meter.cost_usd:.10f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    for name, invocation in ended.items():
        if invocation.error is not None:
            print(f"{name}: {invocation.error}")


def _print_bill(ended: list[Invocation]) -> None:
    from faaskit.cli.watermark import app, watermark

    print(f"\n{app.invoker.bill}")
    good = [invocation for invocation in ended if invocation.ok]
    if good:
        mean = sum(invocation.meter.duration_ms for invocation in good) / len(good)
        size = watermark.config.memory_size
        total = estimate(requests=_MILLION, duration_ms=mean, memory_size=size).total_usd
        print(
            f"\nA million such calls, {math.ceil(mean)} ms each at {size} MB, would cost "
            f"${total:,.2f} on AWS (us-east-1, no free tier)."
        )


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
