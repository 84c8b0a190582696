"""Requests that are generated from the OpenAPI document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.serving import serving

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_no_generated_request_causes_a_server_error(tmp_path: Path, s3: Any) -> None:
    for bucket in ("uploads", "results"):
        s3.create_bucket(Bucket=bucket)
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", "--checks", CHECKS, "--seed", "1"]
    command += ["--max-examples", "100", "--phases", "examples,coverage,fuzzing", "--no-color"]
    buckets: dict[str, Any] = {
        "uploads_bucket": "uploads",
        "results_bucket": "results",
        "read_buckets": ("uploads",),
    }
    with serving(**buckets) as (url, shared):
        shared.load()
        run = subprocess.run(
            [*command, f"{url}/openapi.json"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "generated" in run.stdout
