"""The demo, as a shell user sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def _demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A process of its own: the demo's app is a module's, and is closed at the end.
    return subprocess.run(
        [sys.executable, "-m", "faaskit", "demo", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def _made(folder: Path) -> dict[str, Any]:
    """Return the colour of each result, by its name."""
    colours = {}
    for path in sorted(folder.iterdir()):
        with Image.open(path) as picture:
            assert picture.size == (300, 200)
            assert len(picture.getcolors(300 * 200) or ()) > 10  # the text is in it
            colours[path.name] = picture.getpixel((5, 5))
    return colours


def _save(path: Path, colour: tuple[int, int, int]) -> str:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (300, 200), colour).save(path)
    return str(path.relative_to(path.parents[1]))


def test_the_table_the_bill_and_the_denial(tmp_path: Path) -> None:
    """A bad picture is told in its row, and the denial is shown by a good one."""
    (tmp_path / "bad.png").write_bytes(b"no picture")
    good = _save(tmp_path / "a" / "good.png", (1, 2, 3))
    ended = _demo(tmp_path, "bad.png", good)
    assert ended.returncode == 1, ended.stderr
    assert "bad.png: PictureError: the file is no picture" in ended.stdout
    assert "1 of 2 pictures" in ended.stdout
    assert "not authorized to perform: s3:PutObject" in ended.stdout
    assert ended.stderr == ""  # no bar: it is no terminal
    assert list(_made(tmp_path / "faaskit-demo")) == ["good-watermarked.png"]


def test_names_that_are_the_same_in_part(tmp_path: Path) -> None:
    """From two folders, or different in case alone: numbered, in the order given."""
    images = [
        _save(tmp_path / folder / name, (shade, 0, 0))
        for folder, name, shade in [
            ("a", "same.png", 10),
            ("b", "same.png", 20),
            ("b", "SAME.png", 30),
            ("a", "same-2.png", 40),
        ]
    ]
    ended = _demo(tmp_path, "--out", "out", *images)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert _made(tmp_path / "out") == {
        "SAME-3-watermarked.png": (30, 0, 0),
        "same-2-2-watermarked.png": (40, 0, 0),
        "same-2-watermarked.png": (20, 0, 0),
        "same-watermarked.png": (10, 0, 0),
    }


def test_json_is_all_that_it_says(tmp_path: Path) -> None:
    """For scripts: rows, bill and denial, money as exact text."""
    (tmp_path / "empty.jpg").touch()
    image = _save(tmp_path / "a" / "one.jpg", (1, 2, 3))
    ended = _demo(tmp_path, "--json", "--out", "out", "empty.jpg", image)
    assert ended.returncode == 1, ended.stderr
    report = json.loads(ended.stdout)
    empty, one = report["pictures"]
    assert (empty["picture"], empty["status"], empty["output"]) == ("empty.jpg", "error", None)
    assert empty["error"] == "PictureError: the file is empty"
    assert (one["picture"], one["status"], one["error"]) == (image, "ok", None)
    assert one["output"] == "out/one-watermarked.jpeg"
    assert (tmp_path / one["output"]).is_file()
    assert 0 < one["duration_ms"] <= one["billed_duration_ms"]
    assert one["max_memory_used_mb"] > 0
    costs = report["bill"]["functions"]
    assert Decimal(costs["watermark"]["cost_usd"]) == sum(
        Decimal(row["cost_usd"]) for row in report["pictures"]
    )
    assert Decimal(report["bill"]["total_usd"]) == sum(
        Decimal(of_one["cost_usd"]) for of_one in costs.values()
    )
    assert report["denied"]["error_type"] == "AccessDeniedError"
    assert "s3:PutObject" in report["denied"]["reason"]
    assert len(report["denied"]["request_id"]) == 36


def test_nothing_went_well(tmp_path: Path) -> None:
    """Then there is no denial to show."""
    (tmp_path / "empty.jpg").touch()
    ended = _demo(tmp_path, "--json", "empty.jpg")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["denied"] is None


def test_a_result_that_cannot_be_written(tmp_path: Path) -> None:
    """It is told in its row; the others are there."""
    images = [_save(tmp_path / "a" / f"{name}.png", (1, 2, 3)) for name in ("one", "two")]
    (tmp_path / "out" / "one-watermarked.png").mkdir(parents=True)
    ended = _demo(tmp_path, "--json", "--out", "out", *images)
    assert ended.returncode == 1
    one, two = json.loads(ended.stdout)["pictures"]
    assert one["error"] == "out/one-watermarked.png can't be written: Is a directory"
    assert one["output"] is None
    assert (two["error"], two["output"]) == (None, "out/two-watermarked.png")


def test_no_picture_is_written_over(tmp_path: Path) -> None:
    """Not even one that has the name of another's result."""
    images = [
        _save(tmp_path / "a" / name, (shade, 0, 0))
        for name, shade in [("x.png", 10), ("X-Watermarked.png", 20)]
    ]
    before = [(tmp_path / image).read_bytes() for image in images]
    assert _demo(tmp_path, "--out", "a", *images).returncode == 0
    assert [(tmp_path / image).read_bytes() for image in images] == before
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "X-Watermarked-watermarked.png",
        "X-Watermarked.png",
        "x-2-watermarked.png",
        "x.png",
    ]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """Names are bytes, line breaks included."""
    Image.new("RGB", (300, 200)).save(tmp_path / "good.png")
    name = os.fsdecode(b"b\xff\nd.png")
    (tmp_path / "good.png").rename(tmp_path / name)
    ended = _demo(tmp_path, name)
    assert ended.returncode == 0, ended.stderr
    assert "b__d.png: faaskit-demo/b__d-watermarked.png\n" in ended.stdout
    assert list(_made(tmp_path / "faaskit-demo")) == ["b__d-watermarked.png"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing.jpg", "nothing.jpg can't be read: No such file or directory"),
        ("folder", "folder is a folder; name the pictures in it: folder/*.jpg"),
        ("loop.jpg", "loop.jpg can't be read: Too many levels of symbolic links"),
    ],
)
def test_what_cannot_be_read_is_told_first(tmp_path: Path, name: str, words: str) -> None:
    """Before anything is made, in one line."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    ended = _demo(tmp_path, _save(tmp_path / "a" / "good.png", (1, 2, 3)), name)
    assert ended.returncode == 2
    assert ended.stderr == f"faaskit: {words}\n"
    assert ended.stdout == ""
    assert not (tmp_path / "faaskit-demo").exists()
