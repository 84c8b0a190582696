"""``embed``: store the embeddings of recordings in a file."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_classifier.cli.arguments import INPUTS_HELP, add_bundle, add_channel, add_command
from audio_classifier.cli.common import (
    EXIT_OK,
    EXIT_SOME_FAILED,
    NETWORK_THREADS,
    find_recordings,
    open_classifier,
    report_skipped,
    report_warning,
    uses_network,
)
from audio_classifier.cli.errors import describe
from audio_classifier.cli.terminal import FilesProgress, print_error, print_line, terminated_cleanly
from audio_classifier.errors import InvalidParameterError

if TYPE_CHECKING:
    from audio_classifier.batch.embedding_files import BundleIdentity, EmbeddingWriter
    from audio_classifier.inference.classifier import AudioClassifier
    from audio_classifier.model.bundle import Bundle


def add(commands: Any) -> None:
    """Add the command to the parser."""
    embed = add_command(
        commands,
        "embed",
        help="store the embeddings of recordings, for each 0.96 s",
        examples=("embed recordings/ --output recordings.npz",),
    )
    embed.set_defaults(run=_embed)
    embed.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help=INPUTS_HELP,
    )
    embed.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the new file: X.npz, which search and numpy read, or X.jsonl, with a line for each 0.96 s",
    )
    add_channel(embed)
    add_bundle(embed)


def bundle_identity(bundle: Bundle) -> BundleIdentity:
    """Return what files of embeddings state about a bundle."""
    from audio_classifier.batch.embedding_files import BundleIdentity

    return BundleIdentity(bundle.manifest.name, bundle.manifest.version, bundle.digest)


def _embed(args: argparse.Namespace) -> int:
    from audio_classifier.batch.embedding_files import written_embeddings

    if args.files.count("-") > 1:
        raise InvalidParameterError("FILE", "standard input can be read only once", hint="Name - once.")
    with terminated_cleanly():
        classifier = open_classifier(args.bundle, many=True)
        with written_embeddings(args.output, bundle_identity(classifier.bundle)) as writer:
            failed = _embed_all(args, classifier, writer)
    return EXIT_SOME_FAILED if failed else EXIT_OK


def _embed_all(args: argparse.Namespace, classifier: AudioClassifier, writer: EmbeddingWriter) -> int:
    """Embed all inputs; show progress, report errors and warnings, and return the number of failures."""
    from audio_classifier.batch.embed import Embedded, embed_inputs

    skipped: Counter[str] = Counter()
    threads = NETWORK_THREADS if uses_network(args.files) else classifier.reader_threads
    outcomes = embed_inputs(
        classifier, find_recordings(args.files, skipped), channel=args.channel, threads=threads
    )
    recordings = patches = failed = 0
    begin = time.perf_counter()
    progress = FilesProgress(
        lambda: sum(1 for _ in find_recordings(args.files)), steady=True, task="embedding"
    )
    with progress.shown(), closing(outcomes):
        for outcome in outcomes:
            if isinstance(outcome, Embedded):
                for warning in outcome.warnings:
                    report_warning(outcome.name, warning)
                writer.add(outcome.name, outcome.embeddings)
                recordings += 1
                patches += len(outcome.embeddings.codes)
            else:
                body = describe(outcome.error)
                print_error(f"{outcome.name}: {body['message']}", body["hint"])
                failed += 1
            progress.advance(failed=not isinstance(outcome, Embedded))
    seconds = time.perf_counter() - begin
    where = f"; embeddings: {args.output}" if recordings else "; nothing is stored"
    print_line(
        f"{recordings} embedded ({patches} patches of 0.96 s), {failed} failed, in {seconds:.1f} s{where}"
    )
    report_skipped(skipped)
    return failed
