"""Compute what a stack of template.yaml costs in a month, from measured durations and AWS's prices."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.price_list import PRICES

HOURS: Final = 730
GB: Final = 1 << 30
MEMORY_MB: Final = 1769
Start = Literal["on demand", "SnapStart", "provisioned"]
ON_DEMAND: Final = "on demand"
SNAPSTART: Final = "SnapStart"
PROVISIONED: Final = "provisioned"

# Measured by tests: a WAV file of ten seconds (44.1 kHz, stereo), and what the functions do with it.
REQUEST_BYTES: Final = 1_764_044
METRICS: Final = 7  # custom metrics of a function
# At most, for an invocation.
LOG_BYTES: Final = {"api": 1600, "uploads": 1600}
UPLOAD_READS: Final = 4  # requests to S3, one after another
UPLOAD_WRITES: Final = 1
RESULT_BYTES: Final = 1200  # about, a stored result

# Assumed.
RESPONSE_BYTES: Final = 1000  # with headers
S3_REQUEST_S: Final = 0.05
BASE_IMAGE_BYTES: Final = 200e6  # compressed
COLD_SHARE: Final = {1_000: 1.0, 1_000_000: 0.001}  # by clips a month: requests that start an instance

# AWS's rules.
API_UNIT_BYTES: Final = 512 << 10
# Five long polls of 20 s for each queue; without a limit of concurrency, an idle queue would have two.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLS_PER_MINUTE: Final = 15
LOG_LINE_BYTES: Final = 26  # charged for each line, in addition to its text

# Quantities by the names of prices.
Quantities = Mapping[str, float]
# A bill: quantities by line.
Bill = Mapping[str, Quantities]


@dataclass(frozen=True, slots=True)
class Stack:
    """What the template creates, as far as it is charged."""

    alarm_metrics: int
    composite_alarms: int
    dashboards: int
    polled_queues: int
    image_repositories: int
    upload_days: int

    @classmethod
    def of(cls, template: Mapping[str, Any]) -> Stack:
        """Count the resources of a template, as `tests.infra.templates.load` returns it."""
        resources = template["Resources"].values()
        types = Counter(resource["Type"] for resource in resources)
        alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
        functions = [one["Properties"] for one in resources if one["Type"] == "AWS::Serverless::Function"]
        (expiry,) = (
            rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
            for rule in template["Resources"]["UploadsBucket"]["Properties"]["LifecycleConfiguration"][
                "Rules"
            ]
            if "NoncurrentVersionExpiration" in rule
        )
        return cls(
            alarm_metrics=sum(_metrics(alarm) for alarm in alarms),
            composite_alarms=types["AWS::CloudWatch::CompositeAlarm"],
            dashboards=types["AWS::CloudWatch::Dashboard"],
            polled_queues=sum(
                event["Type"] == "SQS" for one in functions for event in one.get("Events", {}).values()
            ),
            image_repositories=sum(one.get("PackageType") == "Image" for one in functions),
            upload_days=int(template["Parameters"]["UploadsExpireDays"]["Default"]) + int(expiry),
        )


def _metrics(alarm: Mapping[str, Any]) -> int:
    """Return the number of metrics that an alarm reads, each of which is charged."""
    return sum("MetricStat" in metric for metric in alarm["Metrics"]) if "Metrics" in alarm else 1


@dataclass(frozen=True, slots=True)
class Durations:
    """Durations by model and memory size, in seconds, and other measured figures of benchmarks/results.md.

    Attributes
    ----------
    warm_s, cold_s
        A request to an instance that has answered before, and one that starts an instance, start included.
    one_cpu_s, two_cpus_s
        The network alone, by model.
    image_bytes
        The image without its base image.
    """

    warm_s: Mapping[tuple[str, int], float]
    cold_s: Mapping[tuple[str, int], float]
    one_cpu_s: Mapping[str, float]
    two_cpus_s: Mapping[str, float]
    image_bytes: float
    date: str
    machine: str

    @classmethod
    def read(cls, report: Path) -> Durations:
        """Read the report that `make bench` writes."""
        text = report.read_text(encoding="utf-8")
        rows = [
            [cell.strip() for cell in line.strip("| \n").split(" | ")]
            for line in text.splitlines()
            if line.startswith("|")
        ]
        (head,) = (row for row in rows if any("warm / cold request" in cell for cell in row))
        models = re.findall(r"`([\w-]+)`, warm / cold request", " ".join(head))
        warm_s, cold_s = {}, {}
        for size, *cells in rows:
            if found := re.match(r"(\d+) MB \(", size):
                for model, cell in zip(models, cells[::2], strict=True):
                    if times := re.fullmatch(r"(\d+) ms / ([\d.]+) s", cell):
                        warm_s[model, int(found[1])] = int(times[1]) / 1e3
                        cold_s[model, int(found[1])] = float(times[2])
        cells_of = {row[0]: row[1] for row in rows if len(row) > 1}

        def network_s(cpus: str) -> dict[str, float]:
            times = {model: cells_of[f"{model}, network alone{cpus}"].split() for model in models}
            return {model: float(number) / 1e3 for model, (number, unit, *_) in times.items() if unit == "ms"}

        image_mb = float(cells_of["image without its base image"].split()[0])
        return cls(
            warm_s,
            cold_s,
            network_s(", one CPU"),
            network_s(""),
            image_mb * 1e6,
            cells_of["date"],
            cells_of["CPU"],
        )


def usd(bills: Iterable[Bill], *, free: bool = False) -> float:
    """Return the sum of bills in US dollars, minus what is free in every month if ``free``."""
    total: Counter[str] = Counter()
    for bill in bills:
        for quantities in bill.values():
            total.update(quantities)
    return sum(
        max(0.0, quantity - (PRICES[name].free if free else 0)) * PRICES[name].usd
        for name, quantity in total.items()
    )


def line_usd(quantities: Quantities) -> float:
    """Return a line of a bill in US dollars."""
    return sum(quantity * PRICES[name].usd for name, quantity in quantities.items())


def idle(stack: Stack, durations: Durations, bundle_bytes: float) -> Bill:
    """Return the bill of a stack that nobody uses."""
    image = stack.image_repositories * (durations.image_bytes + BASE_IMAGE_BYTES + bundle_bytes)
    return {
        "alarms": {"alarm_metric": stack.alarm_metrics, "composite_alarm": stack.composite_alarms},
        "dashboard": {"dashboard": stack.dashboards},
        "polls of the queues (SQS)": {"sqs_request": stack.polled_queues * POLLS_PER_MINUTE * 60 * HOURS},
        "images (ECR)": {"ecr_gb_month": image / GB},
    }


def capacity(start: Start, memory_mb: int) -> Bill:
    """Return the bill for a snapshot, or for one provisioned instance."""
    gb_s = memory_mb / 1024 * HOURS * 3600
    if start == SNAPSTART:
        return {"snapshot": {"snapshot_gb_s": gb_s}}
    return {"provisioned instance": {"provisioned_gb_s": gb_s}} if start == PROVISIONED else {}


def functions(
    durations: Durations,
    model: str,
    memory_mb: int,
    clips: int,
    *,
    start: Start = ON_DEMAND,
    more_s: float = 0,
) -> Quantities:
    """Return what Lambda charges for clips, each in its own invocation, which takes ``more_s`` longer."""
    cold = clips * COLD_SHARE[clips] if start != PROVISIONED else 0.0
    warm_s = durations.warm_s[model, memory_mb] + more_s
    # The time of a restore is not measured; Lambda charges it by the size of the snapshot.
    cold_s = warm_s if start == SNAPSTART else durations.cold_s[model, memory_mb] + more_s
    gb_s = memory_mb / 1024 * (cold * cold_s + (clips - cold) * warm_s)
    duration = {"provisioned_duration_gb_s" if start == PROVISIONED else "lambda_gb_s": gb_s}
    restored = {"snapshot_restored_gb": cold * memory_mb / 1024} if start == SNAPSTART else {}
    return {**duration, "lambda_request": clips, **restored}


def _observation(kind: str, clips: int) -> Bill:
    log_gb = clips * LOG_BYTES[kind] / GB
    return {
        "traces (X-Ray)": {"trace": clips},
        "logs": {"log_gb": log_gb, "log_gb_month": log_gb},
        "custom metrics": {"metric": METRICS * min(1.0, clips / HOURS)},
    }


def requests(durations: Durations, model: str, memory_mb: int, clips: int) -> Bill:
    """Return the bill of requests with ten seconds each, without API Gateway."""
    return {
        "Lambda": functions(durations, model, memory_mb, clips),
        **_observation("api", clips),
        "data transfer": {"transfer_gb": clips * RESPONSE_BYTES / GB},
    }


def gateway(kind: Literal["HTTP", "REST"], clips: int) -> Bill:
    """Return what API Gateway charges for these requests."""
    if kind == "REST":
        return {"API Gateway": {"rest_api_request": clips}}
    return {"API Gateway": {"http_api_unit": clips * math.ceil(REQUEST_BYTES / API_UNIT_BYTES)}}


def uploads(stack: Stack, durations: Durations, model: str, memory_mb: int, clips: int) -> Bill:
    """Return the bill of uploads of ten seconds each, processed one by one, whose results are read once."""
    waits_s = (UPLOAD_READS + UPLOAD_WRITES) * S3_REQUEST_S
    kept_months = stack.upload_days * 24 / HOURS
    stored_gb_month = clips * (REQUEST_BYTES * kept_months + RESULT_BYTES) / GB
    return {
        "Lambda": functions(durations, model, memory_mb, clips, more_s=waits_s),
        "storage (S3)": {"s3_gb_month": stored_gb_month},
        "requests (S3)": {"s3_write": clips * (1 + UPLOAD_WRITES), "s3_read": clips * (1 + UPLOAD_READS)},
        "messages (SQS)": {"sqs_request": 3 * clips},
        **_observation("uploads", clips),
    }


def at_best_s(durations: Durations, model: str, cpus: float) -> float:
    """Return the time of a warm request if its network used all CPUs; the rest takes as long as with two."""
    two_cpus_s = durations.warm_s[model, 2 * MEMORY_MB]
    return two_cpus_s - durations.two_cpus_s[model] + durations.one_cpu_s[model] / cpus
