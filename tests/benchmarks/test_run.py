"""``make bench`` prints what it measured, a line of JSON each, and keeps it."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks.run", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_figure_is_printed_and_appended_with_its_peer_and_their_ratio(tmp_path: Path) -> None:
    results = tmp_path / "bench.jsonl"
    results.write_text('{"name": "of yesterday"}\n')

    done = bench("--only", "due", "--results", str(results))

    assert done.returncode == 0, done.stderr
    figure = json.loads(done.stdout)
    assert {"name", "size", "peer", "peer_version", "ratio", "seconds"} <= figure.keys()
    assert [json.loads(line)["name"] for line in results.read_text().splitlines()] == ["of yesterday", "due"]


def test_an_unknown_benchmark_is_wrong_usage_and_names_those_there_are() -> None:
    done = bench("--only", "everything")

    assert done.returncode == 2
    assert "'due'" in done.stderr
