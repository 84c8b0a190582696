"""The parameters of a prediction request, over HTTP and in direct Lambda events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
)

from audio_classifier.audio.channels import Channel
from audio_classifier.constants import (
    CLIP_PATCHES,
    EVENT_HOP_S,
    EVENT_THRESHOLD,
    EVENT_WINDOW_S,
    PATCH_S,
    TOP_K,
)
from audio_classifier.durations import PATTERN, parse_duration
from audio_classifier.errors import InvalidParameterError
from audio_classifier.inference.sound_events import Hysteresis
from audio_classifier.service.parameter_names import misspelled

# The names of requests for parameters of the library.
REQUEST_NAMES: Final = {
    "hop_s": "hop",
    "label": "filter",
    "min_duration_s": "min_duration",
    "start_s": "start_time",
    "window_s": "window",
}
Parameters = TypeVar("Parameters", bound=BaseModel)
LISTS: Final = ("filter", "exclude")  # their repeated values add up
VALUE_ERROR: Final = "Value error, "  # how pydantic begins the message of a ValueError


class _DurationSchema:
    """Adds text to the JSON schema of a number of seconds."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"type": "string", "pattern": PATTERN}]}


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _joined(value: Any) -> Any:
    is_list = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return ",".join(value) if is_list else value


MAX_NAMES: Final = 5_000  # characters
MAX_WINDOW_S: Final = CLIP_PATCHES * PATCH_S
# Bounds precede the parser, so that pydantic describes them.
Seconds: TypeAlias = Annotated[
    float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_duration), _DurationSchema()
]
WindowSeconds: TypeAlias = Annotated[
    float, Field(gt=0, le=MAX_WINDOW_S), BeforeValidator(_duration), _DurationSchema()
]
Names: TypeAlias = Annotated[str, BeforeValidator(_joined)]


def _channel(value: Any) -> Any:
    if value in (None, "mix"):
        return value
    if str(value).isdecimal() and int(value) >= 1:
        return int(value)
    raise ValueError(f"must be a number from 1 on, or mix, got {value!r}")


ChannelParameter: TypeAlias = Annotated[Channel, BeforeValidator(_channel, int | str)]
CHANNEL_DESCRIPTION: Final = (
    "The channel to classify, from 1 on, or mix for the mean of all.  If omitted, the mean, "
    "or the loudest channel if the channels cancel each other out."
)
DETAILS_DESCRIPTION: Final = "Also describe the model, the recording, and how much of it was analyzed."


class PredictParameters(BaseModel):
    """Query parameters, form fields or event fields of a prediction."""

    model_config = ConfigDict(extra="ignore")

    start_time: Seconds = Field(
        0.0,
        description="The number of seconds into the audio file the prediction should start at.",
    )
    channel: ChannelParameter = Field(None, description=CHANNEL_DESCRIPTION)
    filter: Names = Field(
        "",
        max_length=MAX_NAMES,
        description="Only these classes: names or ids, separated by commas.  May be repeated.",
    )
    exclude: Names = Field(
        "",
        max_length=MAX_NAMES,
        description="None of these classes, even if they are in filter; may be repeated, too.",
    )
    groups: bool = Field(
        False,
        description="Names in filter and exclude also stand for the classes below them in AudioSet's "
        "ontology.",
    )
    top_k: int = Field(TOP_K, ge=1, le=1000, description="The maximum number of classes.")
    threshold: float | None = Field(None, ge=0, le=1, description="The minimum probability.")
    timeline: bool = Field(
        False, description="Analyze the whole file: also return its windows and sound events."
    )
    window: WindowSeconds = Field(
        EVENT_WINDOW_S,
        description="The length of a timeline's windows in seconds; rounded to a multiple of 0.96.",
    )
    hop: WindowSeconds = Field(
        EVENT_HOP_S,
        description="Seconds from one window of a timeline to the next; at most the length of a window.",
    )
    release: float | None = Field(
        None,
        ge=0,
        le=1,
        description="A sound event begins at the threshold (default: 0.3) and ends below this probability "
        "(default: half of the threshold).",
    )
    min_duration: Seconds = Field(0.0, description="Omit sound events that are shorter, in seconds.")
    details: bool = Field(False, description=DETAILS_DESCRIPTION)

    @property
    def hysteresis(self) -> Hysteresis:
        """When a class counts as present in a timeline."""
        threshold = EVENT_THRESHOLD if self.threshold is None else self.threshold
        return Hysteresis(threshold, self.release, self.min_duration)


class EmbedParameters(BaseModel):
    """Query parameters or form fields of a request for embeddings."""

    model_config = ConfigDict(extra="ignore")

    channel: ChannelParameter = Field(None, description=CHANNEL_DESCRIPTION)
    details: bool = Field(False, description=DETAILS_DESCRIPTION)


# The parameters by their names, and by those of the library for the same ones.
KNOWN_NAMES: Final = {name: name for name in PredictParameters.model_fields} | {
    name: field for name, field in REQUEST_NAMES.items() if name.endswith("_s")
}


def parse_parameters(fields: Mapping[str, Any]) -> PredictParameters:
    """Check the parameters of a request.

    An empty text and None stand for the default.  Unknown fields are ignored, unless they are nearly known.

    Raises
    ------
    InvalidParameterError
        If a parameter is out of range or misspelled; the error names it.
    """
    found = misspelled(fields, KNOWN_NAMES)
    if found is not None:
        name, parameter = found
        raise InvalidParameterError(
            parameter,
            f"the request has {name!r}, which is not the name of a parameter",
            hint=f"Rename {name!r} to {parameter!r}, or omit it.",
        )
    return _validated(PredictParameters, fields)


def parse_embed_parameters(fields: Mapping[str, Any]) -> EmbedParameters:
    """Check the parameters of a request for embeddings, as `parse_parameters` does.

    Raises
    ------
    InvalidParameterError
        If a parameter is out of range, misspelled or one of other requests; the error names it.
    """
    parse_parameters(fields)
    for name, value in fields.items():
        parameter = KNOWN_NAMES.get(name)
        if parameter and parameter not in EmbedParameters.model_fields and not _is_empty(value):
            raise InvalidParameterError(
                name, "does not apply to embeddings, which are those of the whole recording", hint="Omit it."
            )
    return _validated(EmbedParameters, fields)


def _validated(parameters: type[Parameters], fields: Mapping[str, Any]) -> Parameters:
    try:
        return parameters.model_validate(
            {name: value for name, value in fields.items() if not _is_empty(value)}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        reason = first["msg"].removeprefix(VALUE_ERROR)
        raise InvalidParameterError(".".join(map(str, first["loc"])), reason) from error


def merge_repeated(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Merge the parameters of a request that may state each of them several times.

    The values of ``filter`` add up, and those of ``exclude``.  Those of another parameter must agree.  Empty
    ones are omitted.

    Raises
    ------
    InvalidParameterError
        If they do not; the error names the parameter.
    """
    fields: dict[str, Any] = {}
    lists: dict[str, list[Any]] = {}
    for name, value in pairs:
        if _is_empty(value):
            continue
        if name in LISTS:
            lists.setdefault(name, []).extend(value if isinstance(value, list) else [value])
        elif str(fields.setdefault(name, value)) != str(value) and name in PredictParameters.model_fields:
            raise InvalidParameterError(
                name,
                f"must have one value, got {fields[name]!r:.40} and {value!r:.40}",
                hint="Send the parameter once, in the query or in the body.",
            )
    for name, values in lists.items():
        if values:
            fields[name] = values if len(values) > 1 else values[0]
    return fields


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
