"""Tests of the monthly costs: prices, bills computed by hand, and the usage that they assume."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from audio_classifier.s3.location import S3Location
from audio_classifier.service.settings import Settings
from audio_classifier.service.shared_classifier import SharedClassifier
from audio_classifier.service.uploads import Uploads
from benchmarks import monthly_costs
from benchmarks.material import write_ten_seconds
from benchmarks.monthly_costs import Durations, Stack, line_usd, usd
from benchmarks.paths import Paths
from benchmarks.price_list import PRICES, price_table
from tests.infra.templates import IMAGE, ZIP

ROOT: Final = Path(__file__).parents[2]
DURATIONS: Final = Durations(
    warm_s={("compact", 1024): 0.1},
    cold_s={("compact", 1024): 1.1},
    one_cpu_s={"compact": 0.08},
    two_cpus_s={"compact": 0.04},
    image_bytes=0,
    date="",
    machine="",
)
STACK: Final = Stack(
    alarm_metrics=12, composite_alarms=1, dashboards=1, polled_queues=2, image_repositories=3, upload_days=44
)


def lines(bill: monthly_costs.Bill) -> dict[str, float]:
    return {name: round(line_usd(quantities), 4) for name, quantities in bill.items()}


def test_each_price_has_a_page_of_aws_and_pages_that_confirm_it_have_an_address() -> None:
    for price in PRICES.values():
        assert urlsplit(price.page).netloc == "aws.amazon.com"
        assert price.usd > 0
        assert all(page.startswith("https://") for page in price.confirmed)
    assert price_table().count("\n") >= len(PRICES)


def test_idle_stack_is_charged_for_alarms_dashboard_polls_and_images() -> None:
    bill = lines(monthly_costs.idle(STACK, DURATIONS, bundle_bytes=100e6))
    # Two queues, five polls of 20 s at a time: 1,314,000 requests; three images with base and bundle.
    assert bill == {
        "alarms": 1.7,
        "dashboard": 3.0,
        "polls of the queues (SQS)": round(1.314 * 0.40, 4),
        "images (ECR)": round(3 * 300e6 / 2**30 * 0.10, 4),
    }


@pytest.mark.parametrize(("clips", "gb_s"), [(1_000, 1_100), (1_000_000, 101_000)])
def test_requests_are_charged_for_warm_and_cold_durations(clips: int, gb_s: float) -> None:
    bill = monthly_costs.requests(DURATIONS, "compact", 1024, clips)
    assert bill["Lambda"] == {"lambda_gb_s": pytest.approx(gb_s), "lambda_request": clips}
    assert bill["traces (X-Ray)"] == {"trace": clips}


def test_http_api_charges_each_512_kb_and_a_rest_api_each_request() -> None:
    assert lines(monthly_costs.gateway("HTTP", 1_000_000)) == {"API Gateway": 4.0}
    assert lines(monthly_costs.gateway("REST", 1_000_000)) == {"API Gateway": 3.5}


def test_snapshots_are_charged_by_memory_while_they_exist_and_when_they_are_restored() -> None:
    assert lines(monthly_costs.capacity("SnapStart", 8192)) == {"snapshot": 31.6327}
    assert lines(monthly_costs.capacity("SnapStart", 1769)) == {"snapshot": 6.8308}
    used = monthly_costs.functions(DURATIONS, "compact", 1024, 1_000, start="SnapStart")
    assert used == {
        "lambda_gb_s": pytest.approx(100),
        "lambda_request": 1_000,
        "snapshot_restored_gb": pytest.approx(1_000),
    }


def test_provisioned_instance_is_charged_all_month_and_has_no_starts() -> None:
    assert lines(monthly_costs.capacity("provisioned", 1024)) == {"provisioned instance": 10.9501}
    used = monthly_costs.functions(DURATIONS, "compact", 1024, 1_000, start="provisioned")
    assert used == {"provisioned_duration_gb_s": pytest.approx(100), "lambda_request": 1_000}


def test_uploads_are_charged_for_requests_messages_and_storage() -> None:
    bill = monthly_costs.uploads(STACK, DURATIONS, "compact", 1024, 1_000_000)
    # Each of five requests to S3 takes 50 ms.
    assert bill["Lambda"]["lambda_gb_s"] == pytest.approx(1e6 * (0.1 + 0.25 + 0.001))
    assert lines(bill)["requests (S3)"] == 2 * 5.0 + 5 * 0.40
    assert bill["messages (SQS)"] == {"sqs_request": 3_000_000}
    # 44 of 30.4 days.
    assert bill["storage (S3)"]["s3_gb_month"] == pytest.approx(1.764044e12 * 44 * 24 / 730 / 2**30, rel=2e-3)


def test_free_allowances_are_subtracted_once_from_all_bills() -> None:
    bills = [{"a": {"trace": 80_000.0}}, {"b": {"trace": 30_000.0, "s3_read": 1e6}}]
    assert usd(bills) == pytest.approx(0.55 + 0.40)
    assert usd(bills, free=True) == pytest.approx(0.05 + 0.40)


def test_stack_is_counted_in_the_template() -> None:
    template: dict[str, Any] = {
        "Parameters": {"UploadsExpireDays": {"Default": 30}},
        "Resources": {
            "One": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Errors"}},
            "Rate": {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {"Metrics": [{"Expression": "a / b"}, {"MetricStat": {}}, {"MetricStat": {}}]},
            },
            "Both": {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {}},
            "Board": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {}},
            "Function": {
                "Type": "AWS::Serverless::Function",
                "Properties": {"PackageType": "Image", "Events": {"Uploads": {"Type": "SQS"}}},
            },
            "UploadsBucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "LifecycleConfiguration": {
                        "Rules": [{"NoncurrentVersionExpiration": {"NoncurrentDays": 14}}, {}]
                    }
                },
            },
        },
    }
    assert Stack.of(template) == Stack(3, 1, 1, 1, 1, 44)
    assert Stack.of(ZIP).image_repositories == 0
    assert Stack.of(IMAGE).image_repositories == 3


def test_durations_are_those_of_the_report() -> None:
    durations = Durations.read(ROOT / "benchmarks" / "results.md")
    results = (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8")
    (cell,) = re.findall(r"^\| 1769 MB .*?\| ([\d.]+ ms / [\d.]+ s)", results, re.MULTILINE)
    assert (
        f"{1e3 * durations.warm_s['compact', 1769]:.0f} ms / {durations.cold_s['compact', 1769]:.2f} s"
        == cell
    )
    assert ("max-float32", 512) not in durations.warm_s
    assert {("compact", 8192), ("max-float32", 8192), ("max-int8", 1024)} <= durations.cold_s.keys()
    assert durations.one_cpu_s["max-float32"] > durations.two_cpus_s["max-float32"] > 0.05


def test_best_time_with_many_cpus_shortens_only_the_network() -> None:
    durations = Durations(
        {("max", 3538): 0.12}, {}, {"max": 0.18}, {"max": 0.09}, image_bytes=0, date="", machine=""
    )
    assert monthly_costs.at_best_s(durations, "max", 4.5) == pytest.approx(0.12 - 0.09 + 0.04)


def test_upload_makes_the_assumed_requests_to_s3(s3: Any, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_ten_seconds(paths)
    for bucket in ("uploads", "results"):
        s3.create_bucket(Bucket=bucket)
    body = paths.ten_seconds.read_bytes()
    assert len(body) == monthly_costs.REQUEST_BYTES
    s3.put_object(Bucket="uploads", Key="uploads/a.wav", Body=body)
    uploads = Uploads(
        SharedClassifier(Settings.from_environment({"AUDIO_CLASSIFIER_RESULTS_BUCKET": "results"}))
    )
    methods: list[str] = []

    def record(request: Any, **_: Any) -> None:
        methods.append(request.method)

    uploads.access.client().meta.events.register("before-send.s3", record)
    assert str(uploads.process(S3Location("uploads", "uploads/a.wav"))).startswith("stored ")
    writes = [method for method in methods if method not in ("GET", "HEAD")]
    assert (len(methods) - len(writes), len(writes)) == (
        monthly_costs.UPLOAD_READS,
        monthly_costs.UPLOAD_WRITES,
    )
    result = s3.head_object(Bucket="results", Key="results/uploads/a.wav.json")
    assert result["ContentLength"] == pytest.approx(monthly_costs.RESULT_BYTES, rel=0.1)
