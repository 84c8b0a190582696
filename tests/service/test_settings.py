from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from audio_classifier.cpus import available_cpus
from audio_classifier.errors import InvalidParameterError
from audio_classifier.service.settings import PREFIX, Settings

KEY = "0123456789abcdef"
IN_LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "classify", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "8192"}


def test_defaults_are_the_built_in_model_on_all_cpus() -> None:
    cpus = available_cpus()
    assert Settings.from_environment({}) == Settings(
        bundle="compact",
        cache_dir=None,
        thresholds=None,
        download_deadline_s=300,
        threads=cpus,
        max_upload_bytes=64 << 20,
        max_concurrency=cpus,
        max_queue=16,
        max_uploads_in_flight=256,
        max_spooled_bytes=8 * (64 << 20),
        predict_deadline_s=25,
        timeline_deadline_s=900,
        max_timeline_s=3600,
        timeline_over_s=None,
        max_object_bytes=5 << 30,
        max_receives=4,
        uploads_bucket=None,
        uploads_prefix="uploads/",
        results_bucket=None,
        results_prefix="results/",
        results_kms_key=None,
        event_bus=None,
        sound_event_threshold=0.3,
        read_buckets=(),
        cors_origins=(),
        isolate_decoding=True,
        warm_up=None,
        api_keys=(),
        api_keys_file=None,
        disabled_routes=(),
    )


def test_every_setting_is_read_from_its_variable(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{KEY}-3\n{KEY}-4\n")
    environ = {
        "AUDIO_CLASSIFIER_BUNDLE": "s3://models/max/",
        "AUDIO_CLASSIFIER_CACHE_DIR": "/somewhere",
        "AUDIO_CLASSIFIER_DOWNLOAD_DEADLINE_S": "30",
        "AUDIO_CLASSIFIER_THREADS": "3",
        "AUDIO_CLASSIFIER_MAX_UPLOAD_BYTES": "1000",
        "AUDIO_CLASSIFIER_MAX_CONCURRENCY": "2",
        "AUDIO_CLASSIFIER_MAX_QUEUE": "5",
        "AUDIO_CLASSIFIER_MAX_UPLOADS_IN_FLIGHT": "7",
        "AUDIO_CLASSIFIER_MAX_SPOOLED_BYTES": "3000",
        "AUDIO_CLASSIFIER_PREDICT_DEADLINE_S": "8",
        "AUDIO_CLASSIFIER_TIMELINE_DEADLINE_S": "90",
        "AUDIO_CLASSIFIER_MAX_TIMELINE_S": "60",
        "AUDIO_CLASSIFIER_TIMELINE_OVER_S": "20",
        "AUDIO_CLASSIFIER_MAX_OBJECT_BYTES": "2000",
        "AUDIO_CLASSIFIER_MAX_RECEIVES": "7",
        "AUDIO_CLASSIFIER_UPLOADS_BUCKET": "in",
        "AUDIO_CLASSIFIER_UPLOADS_PREFIX": "new/",
        "AUDIO_CLASSIFIER_RESULTS_BUCKET": "results",
        "AUDIO_CLASSIFIER_RESULTS_PREFIX": "all/",
        "AUDIO_CLASSIFIER_RESULTS_KMS_KEY": "alias/results",
        "AUDIO_CLASSIFIER_EVENT_BUS": "audio",
        "AUDIO_CLASSIFIER_SOUND_EVENT_THRESHOLD": "0.5",
        "AUDIO_CLASSIFIER_READ_BUCKETS": "one, two",
        "AUDIO_CLASSIFIER_CORS_ORIGINS": "https://a.example,http://localhost:8080",
        "AUDIO_CLASSIFIER_ISOLATE_DECODING": "false",
        "AUDIO_CLASSIFIER_WARM_UP": "uploads",
        "AUDIO_CLASSIFIER_API_KEYS": f"{KEY}-1, {KEY}-2",
        "AUDIO_CLASSIFIER_API_KEYS_FILE": str(tmp_path / "keys"),
        "AUDIO_CLASSIFIER_DISABLED_ROUTES": "demo,events",
        "AUDIO_CLASSIFIER_THRESHOLDS": "/thresholds.json",
    }
    expected = Settings(
        bundle="s3://models/max/",
        cache_dir=Path("/somewhere"),
        thresholds=Path("/thresholds.json"),
        download_deadline_s=30,
        threads=3,
        max_upload_bytes=1000,
        max_concurrency=2,
        max_queue=5,
        max_uploads_in_flight=7,
        max_spooled_bytes=3000,
        predict_deadline_s=8,
        timeline_deadline_s=90,
        max_timeline_s=60,
        timeline_over_s=20,
        max_object_bytes=2000,
        max_receives=7,
        uploads_bucket="in",
        uploads_prefix="new/",
        results_bucket="results",
        results_prefix="all/",
        results_kms_key="alias/results",
        event_bus="audio",
        sound_event_threshold=0.5,
        read_buckets=("one", "two"),
        cors_origins=("https://a.example", "http://localhost:8080"),
        isolate_decoding=False,
        warm_up="uploads",
        api_keys=(f"{KEY}-1", f"{KEY}-2", f"{KEY}-3", f"{KEY}-4"),
        api_keys_file=tmp_path / "keys",
        disabled_routes=("demo", "events"),
    )
    assert Settings.from_environment(environ) == expected
    assert Settings.from_environment({**environ, **IN_LAMBDA}) == expected


def test_empty_variable_counts_as_unset() -> None:
    empty = {PREFIX + field.name.upper(): "" for field in fields(Settings)}
    assert Settings.from_environment(empty) == Settings.from_environment({})


@pytest.mark.parametrize(
    ("memory_mb", "threads"), [("128", 1), ("1769", 1), ("3538", 2), ("8192", 5), ("10240", 6)]
)
def test_threads_in_lambda_are_one_for_every_1769_mb(memory_mb: str, threads: int) -> None:
    settings = Settings.from_environment({**IN_LAMBDA, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory_mb})
    assert settings.threads == threads


def test_cache_directory_in_lambda_is_below_tmp() -> None:
    assert Settings.from_environment(IN_LAMBDA).cache_dir == Path("/tmp/audio-classifier")


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "many", " ", "1000000"])
def test_invalid_number_of_threads_is_refused(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="AUDIO_CLASSIFIER_THREADS"):
        Settings.from_environment({"AUDIO_CLASSIFIER_THREADS": value})


def test_star_allows_any_origin() -> None:
    assert Settings.from_environment({"AUDIO_CLASSIFIER_CORS_ORIGINS": "*"}).cors_origins == ("*",)


@pytest.mark.parametrize(
    "origin", ["a.example", "https://a.example/", "https://a.example/page", "true", "**"]
)
def test_invalid_origin_is_refused(origin: str) -> None:
    with pytest.raises(InvalidParameterError, match="AUDIO_CLASSIFIER_CORS_ORIGINS"):
        Settings.from_environment({"AUDIO_CLASSIFIER_CORS_ORIGINS": f"https://b.example, {origin}"})


@pytest.mark.parametrize("value", ["both", "HTTP", " http"])
def test_unknown_warm_up_is_refused(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="AUDIO_CLASSIFIER_WARM_UP"):
        Settings.from_environment({"AUDIO_CLASSIFIER_WARM_UP": value})


@pytest.mark.parametrize(
    "value", ["default", "a/b.c-d_1", "arn:aws-cn:events:cn-north-1:123456789012:event-bus/audio"]
)
def test_name_or_arn_of_an_event_bus_is_accepted(value: str) -> None:
    assert Settings.from_environment({PREFIX + "EVENT_BUS": value}).event_bus == value


@pytest.mark.parametrize("value", ["my bus", "https://x", "arn:aws:sns:eu-west-1:123456789012:topic", "ü"])
def test_invalid_event_bus_is_refused(value: str) -> None:
    with pytest.raises(
        InvalidParameterError, match="EVENT_BUS: must be the name or ARN of an event bus, got"
    ):
        Settings.from_environment({PREFIX + "EVENT_BUS": value})


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("1", 1), (".5", 0.5), ("0.85", 0.85), ("1.0", 1), ("", 0.3)]
)
def test_threshold_of_sound_events_is_a_probability(text: str, value: float) -> None:
    environ = {PREFIX + "SOUND_EVENT_THRESHOLD": text}
    assert Settings.from_environment(environ).sound_event_threshold == value


@pytest.mark.parametrize("value", ["1.1", "-0.1", "50%", "nan", "0,5", " "])
def test_invalid_threshold_of_sound_events_is_refused(value: str) -> None:
    with pytest.raises(InvalidParameterError, match="must be a probability from 0 to 1, got"):
        Settings.from_environment({PREFIX + "SOUND_EVENT_THRESHOLD": value})


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("No", False), ("0", False)])
def test_isolate_decoding_is_read_as_a_boolean(text: str, value: bool) -> None:
    assert Settings.from_environment({PREFIX + "ISOLATE_DECODING": text}).isolate_decoding is value


def test_isolate_decoding_is_off_in_lambda_and_must_be_a_boolean() -> None:
    assert not Settings.from_environment(IN_LAMBDA).isolate_decoding
    with pytest.raises(InvalidParameterError, match="must be true or false, got 'maybe'"):
        Settings.from_environment({PREFIX + "ISOLATE_DECODING": "maybe"})


@pytest.mark.parametrize("value", [",", " ", f"{KEY},short", f"{KEY},{KEY}\x1b[2J", f"{KEY},{KEY}ü"])
def test_invalid_api_key_is_refused_and_not_shown(value: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(value, encoding="utf-8")
    for name, text in (("API_KEYS", value), ("API_KEYS_FILE", str(tmp_path / "keys"))):
        with pytest.raises(InvalidParameterError, match=f"AUDIO_CLASSIFIER_{name}: ") as caught:
            Settings.from_environment({PREFIX + name: text})
        assert not any(part and part in str(caught.value) for part in value.strip(" ,").split(","))


def test_file_of_api_keys_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name, reason in (
        ("missing", "cannot be read: No such file"),
        ("empty", "must have at least one key"),
    ):
        with pytest.raises(InvalidParameterError, match=f"AUDIO_CLASSIFIER_API_KEYS_FILE.*{reason}"):
            Settings.from_environment({"AUDIO_CLASSIFIER_API_KEYS_FILE": str(tmp_path / name)})


def test_representation_of_settings_does_not_show_api_keys() -> None:
    assert KEY not in repr(Settings.from_environment({"AUDIO_CLASSIFIER_API_KEYS": KEY}))


@pytest.mark.parametrize("value", ["Demo", "demo,model", "all"])
def test_unknown_disabled_route_is_refused(value: str) -> None:
    with pytest.raises(
        InvalidParameterError, match="DISABLED_ROUTES: must be some of demo, docs, metrics, events, got"
    ):
        Settings.from_environment({"AUDIO_CLASSIFIER_DISABLED_ROUTES": value})
