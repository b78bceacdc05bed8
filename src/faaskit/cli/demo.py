"""``faaskit demo``: pictures in, watermarked pictures out, each by a call with its bill."""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import attrs

from faaskit.billing import Bill, estimate
from faaskit.cli.pictures import Picture, pictures, printable
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
    out = Path(arguments.out)
    given = pictures(arguments.images, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the folder for the results can't be made: {error}"
        raise DefinitionError(msg) from error
    # What is not held is what `faaskit doctor` is for, and a picture that is none is told
    # in its row.
    logging.getLogger("faaskit").setLevel(logging.CRITICAL)
    from faaskit.cli.watermark import app

    with app:
        ended = _deliver(given)
        rows = [
            _row(picture, invocation, out) for picture, invocation in zip(given, ended, strict=True)
        ]
        denied = _denied(given, ended)
        bill = app.invoker.bill
    if arguments.json:
        report = {"pictures": rows, "bill": _bill_facts(bill), "denied": denied}
        print(json.dumps(report, indent=2))
    else:
        _print_table(rows)
        _print_denied(denied)
        _print_bill(bill, [invocation for invocation in ended if invocation.ok])
        good = sum(row["output"] is not None for row in rows)
        print(f"\n{good} of {len(rows)} pictures are in {out}/")
    return 1 if any(row["error"] for row in rows) else 0


def _need_extra() -> None:
    try:
        import PIL
        import tqdm
    except ImportError as error:
        msg = f"the demo needs Pillow and tqdm ({error}): pip install 'faaskit[demo]'"
        raise MissingExtraError(msg, extra="demo") from error
    del PIL, tqdm


def _deliver(given: Sequence[Picture]) -> list[Invocation]:
    """Put the pictures into the bucket; return the invocations that follow, in their order."""
    from tqdm import tqdm

    from faaskit.cli.watermark import app, photos

    for picture in given:
        photos.put(f"raw/{picture.name}", picture.data)
    # Nothing is delivered yet: this says which request is which picture's.
    requests = {_key(event.event): event.request_id for event in app.pending()}
    ended: dict[str, Invocation] = {}
    done = threading.Semaphore(0)

    def note(invocation: Invocation) -> None:
        ended[invocation.request_id] = invocation
        done.release()

    with app.running(concurrency=_CONCURRENCY, on_delivery=note):
        # None: a bar is for a terminal
        for _ in tqdm(given, unit="picture", file=sys.stderr, disable=None):
            if not done.acquire(timeout=_PATIENCE_S):
                msg = (
                    f"no picture was finished within {_PATIENCE_S} s, and {len(app.pending())} "
                    "wait; `faaskit doctor` says whether invocations work here"
                )
                raise SandboxError(msg, step="deliver")
    return [ended[requests[f"raw/{picture.name}"]] for picture in given]


def _key(event: bytes) -> str:
    return unquote_plus(json.loads(event)["Records"][0]["s3"]["object"]["key"])


def _row(picture: Picture, invocation: Invocation, out: Path) -> dict[str, Any]:
    """Return what there is to tell of a picture; the result is written to its file."""
    meter = invocation.meter
    output, error = None, None
    if invocation.ok:
        output = out / invocation.payload["output"]
        error = _write(output)
    return {
        "picture": picture.path,
        "request_id": invocation.request_id,
        "status": invocation.status,
        "duration_ms": meter.duration_ms,
        "billed_duration_ms": meter.billed_duration_ms,
        "max_memory_used_mb": meter.max_memory_used_mb,
        "cost_usd": f"{meter.cost_usd:f}",
        "output": None if output is None or error else str(output),
        "note": invocation.payload["note"] if invocation.ok else "",
        "error": error if invocation.ok else str(invocation.error),
    }


def _write(path: Path) -> str | None:
    """Take a result out of the bucket into a file; return what went wrong."""
    from faaskit.cli.watermark import watermarked

    try:
        path.write_bytes(watermarked.get(path.name).body or b"")
    except OSError as error:
        return f"{path} can't be written: {error.strerror}"
    return None


def _denied(given: Sequence[Picture], ended: Sequence[Invocation]) -> dict[str, Any] | None:
    """Do one of the pictures again without the permission; None if none went well."""
    from faaskit.cli.watermark import photos, watermark_denied

    good = [picture for picture, each in zip(given, ended, strict=True) if each.ok]
    if not good:
        return None
    smallest = min(good, key=lambda picture: len(picture.data))
    invocation = watermark_denied.invoke(s3_event(photos.name, f"raw/{smallest.name}"))
    return {
        "picture": smallest.path,
        "request_id": invocation.request_id,
        "status": invocation.status,
        "error_type": invocation.payload["errorType"],
        "reason": invocation.payload["errorMessage"],
    }


def _bill_facts(bill: Bill) -> dict[str, Any]:
    return {
        "total_usd": f"{bill.total_usd:f}",
        "functions": {
            name: attrs.asdict(of_one)
            | {"gb_seconds": f"{of_one.gb_seconds:f}", "cost_usd": f"{of_one.cost_usd:f}"}
            for name, of_one in sorted(bill.by_function().items())
        },
    }


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    lines = [("picture", "request", "status", "duration", "billed", "memory used", "cost")]
    lines += [
        (
            printable(row["picture"]),
            row["request_id"],
            row["status"],
            f"{row['duration_ms']:.0f} ms",
            f"{row['billed_duration_ms']} ms",
            f"{row['max_memory_used_mb']} MB",
            f"${float(row['cost_usd']):.10f}",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    print()
    for row in rows:
        note = f" ({row['note']})" if row["note"] else ""
        print(f"{printable(row['picture'])}: {row['error'] or row['output']}{note}")


def _print_denied(denied: dict[str, Any] | None) -> None:
    if denied is not None:
        print("\nThe same without s3:PutObject in the role:")
        print(f"  {denied['error_type']}: {denied['reason']}")


def _print_bill(bill: Bill, good: Sequence[Invocation]) -> None:
    from faaskit.cli.watermark import watermark

    print(f"\n{bill}")
    if good:
        mean = sum(invocation.meter.duration_ms for invocation in good) / len(good)
        size = watermark.config.memory_size
        total = estimate(requests=_MILLION, duration_ms=mean, memory_size=size).total_usd
        print(
            f"\nA million calls of watermark, {math.ceil(mean)} ms each at {size} MB, would cost "
            f"${total:,.2f} on AWS (us-east-1, no free tier)."
        )
