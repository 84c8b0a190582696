"""The parameters of a prediction request, over HTTP and in direct Lambda events."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from audio_classifier.audio.channels import Channel
from audio_classifier.constants import CLIP_PATCHES, EVENT_THRESHOLD, PATCH_S, TOP_K
from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.sound_events import Hysteresis

# The names of requests for parameters of the library.
REQUEST_NAMES: Final = {
    "hop_s": "hop",
    "label": "filter",
    "min_duration_s": "min_duration",
    "start_s": "start_time",
    "window_s": "window",
}


def _channel(value: Any) -> Any:
    if value in (None, "mix"):
        return value
    if str(value).isdecimal() and int(value) >= 1:
        return int(value)
    raise ValueError(f"must be a number from 1 on, or mix, got {value!r}")


class PredictParameters(BaseModel):
    """Query parameters, form fields or event fields of a prediction."""

    model_config = ConfigDict(extra="ignore")

    start_time: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="The number of seconds into the audio file the prediction should start at.",
    )
    channel: Annotated[Channel, BeforeValidator(_channel, int | str)] = Field(
        None,
        description="The channel to classify, from 1 on, or mix for the mean of all.  If omitted, the mean, "
        "or the loudest channel if the channels cancel each other out.",
    )
    filter: str = Field(
        "", max_length=5_000, description="Only these classes: names or ids, separated by commas."
    )
    top_k: int = Field(TOP_K, ge=1, le=1000, description="The maximum number of classes.")
    threshold: float | None = Field(None, ge=0, le=1, description="The minimum probability.")
    timeline: bool = Field(
        False, description="Analyze the whole file: return its windows and sound events instead."
    )
    window: float = Field(
        CLIP_PATCHES * PATCH_S,
        gt=0,
        le=CLIP_PATCHES * PATCH_S,
        description="The length of a timeline's windows in seconds; rounded to a multiple of 0.96.",
    )
    hop: float | None = Field(
        None,
        gt=0,
        le=CLIP_PATCHES * PATCH_S,
        description="Seconds from one window of a timeline to the next; the length of a window if omitted.",
    )
    release: float | None = Field(
        None,
        ge=0,
        le=1,
        description="A sound event begins at the threshold (default: 0.3) and ends below this probability "
        "(default: half of the threshold).",
    )
    min_duration: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="Omit sound events that are shorter, in seconds."
    )

    @property
    def hysteresis(self) -> Hysteresis:
        """When a class counts as present in a timeline."""
        threshold = EVENT_THRESHOLD if self.threshold is None else self.threshold
        return Hysteresis(threshold, self.release, self.min_duration)


def parse_parameters(fields: dict[str, Any]) -> PredictParameters:
    """Check the parameters of a request.

    Raises
    ------
    InvalidParameterError
        If one is out of range; the error names it.
    """
    try:
        return PredictParameters.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidParameterError(
            ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        ) from error
