"""``search``: find moments that sound like a recording, in a file of embeddings."""

from __future__ import annotations

import argparse
import json
import os
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from audio_classifier.cli.arguments import add_bundle, add_channel, add_command
from audio_classifier.cli.common import (
    EXIT_OK,
    EXIT_SOME_FAILED,
    find_recordings,
    open_classifier,
    report_warning,
)
from audio_classifier.cli.embed import bundle_identity
from audio_classifier.cli.errors import describe
from audio_classifier.cli.terminal import print_error
from audio_classifier.durations import parse_duration
from audio_classifier.errors import AudioError, InvalidParameterError, TransferError
from audio_classifier.escaping import printable

if TYPE_CHECKING:
    from audio_classifier.batch.embed import EmbedOutcome
    from audio_classifier.batch.search import Match
    from audio_classifier.batch.stored_embeddings import StoredEmbeddings
    from audio_classifier.inference.classifier import AudioClassifier

HEADINGS: Final = ("SIMILARITY", "TIME", "FILE")


def add(commands: Any) -> None:
    """Add the command to the parser."""
    search = add_command(
        commands,
        "search",
        help="find moments that sound like a recording",
        examples=(
            "search knock.wav recordings.npz",
            "search evening.flac@12:30 recordings.npz --top-k 3",
        ),
    )
    search.set_defaults(run=_search)
    search.add_argument(
        "query",
        metavar="QUERY",
        help="a recording, for the mean of its embeddings, or FILE@TIME, for the 0.96 s with this time",
    )
    search.add_argument("embeddings", type=Path, metavar="EMBEDDINGS", help="a file X.npz, written by embed")
    search.add_argument(
        "-k", "--top-k", type=int, default=10, metavar="N", help="how many moments (default: 10)"
    )
    search.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_channel(search)
    add_bundle(search)


def _search(args: argparse.Namespace) -> int:
    from audio_classifier.batch.embed import Embedded
    from audio_classifier.batch.search import most_similar, query_vector
    from audio_classifier.batch.stored_embeddings import StoredEmbeddings

    if args.top_k < 1:
        raise InvalidParameterError("top_k", f"must be at least 1, got {args.top_k}")
    stored = StoredEmbeddings(args.embeddings)
    classifier = open_classifier(args.bundle)
    _check_bundle(args.embeddings, stored, classifier)
    name, time_s = split_query(args.query)
    query = _embedded(name, classifier, args)
    try:
        if not isinstance(query, Embedded):
            raise query.error
        vector = query_vector(query.embeddings, time_s)
    except (AudioError, TransferError, OSError) as error:
        body = describe(error)
        print_error(f"{args.query}: {body['message']}", body["hint"])
        if args.json:
            print(json.dumps({"query": args.query, **body}))
        return EXIT_SOME_FAILED
    for warning in query.warnings:
        report_warning(name, warning)
    matches = most_similar(vector, stored, top_k=args.top_k)
    print(_as_json(args.query, matches) if args.json else _as_table(matches))
    return EXIT_OK


def split_query(query: str) -> tuple[str, float | None]:
    """Return the recording and the time in seconds of ``FILE@TIME``; None if there is a file of this name."""
    name, at, time = query.rpartition("@")
    if not at or not name or os.path.exists(query):
        return query, None
    try:
        return name, parse_duration(time)
    except ValueError:
        return query, None


def _check_bundle(path: Path, stored: StoredEmbeddings, classifier: AudioClassifier) -> None:
    """Refuse embeddings of another bundle, because those of two models cannot be compared."""
    own = bundle_identity(classifier.bundle)
    if stored.bundle.digest != own.digest:
        computed, found = (
            f"{bundle.name} {bundle.version} ({bundle.digest[:12]})" for bundle in (stored.bundle, own)
        )
        raise InvalidParameterError(
            "embeddings",
            f"{path} was computed by the bundle {computed}, and the query by {found}",
            hint="Name the same bundle with --bundle, or embed the recordings again.",
        )


def _embedded(name: str, classifier: AudioClassifier, args: argparse.Namespace) -> EmbedOutcome:
    from audio_classifier.batch.embed import embed_inputs
    from audio_classifier.batch.inputs import is_single

    if not is_single(name):
        raise InvalidParameterError("query", f"expected one recording, got the folder {name}")
    with closing(
        embed_inputs(classifier, find_recordings([name]), channel=args.channel, threads=1)
    ) as outcomes:
        return next(outcomes)


def _as_json(query: str, matches: list[Match]) -> str:
    return json.dumps({"query": query, "matches": [asdict(match) for match in matches]}, indent=2)


def _as_table(matches: list[Match]) -> str:
    rows = [(f"{match.similarity:.3f}", _clock(match.start_s), printable(match.file)) for match in matches]
    rows.insert(0, HEADINGS)
    width = max(len(start) for _, start, _ in rows)
    return "\n".join(f"{similarity:>10}  {start:>{width}}  {file}" for similarity, start, file in rows)


def _clock(seconds: float) -> str:
    minutes, hundredths = divmod(round(seconds * 100), 6000)
    return f"{minutes:02}:{hundredths / 100:05.2f}"
