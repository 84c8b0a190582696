"""Inject faults, and check that no result is lost or wrong: ``make test-faults SEED=1``."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from tests.faults.chain import run_chain
from tests.faults.clients import run_clients
from tests.faults.decoder import run_decoder
from tests.faults.disk import run_full_disk, run_power_loss
from tests.faults.events import run_events
from tests.faults.recordings import make_recordings
from tests.faults.report import Outcome, has_findings, table

ASSETS: Final = Path(__file__).parents[2] / "assets"
CAMPAIGNS: Final = ("decoder", "clients", "events", "chain", "full-disk", "power-loss")


@dataclass(frozen=True, slots=True)
class Scale:
    """How long the campaigns take."""

    decoder_s: float
    clients_s: float
    events_s: float
    uploads: int
    uploads_s: float
    power_loss_s: float


QUICK: Final = Scale(
    decoder_s=25, clients_s=30, events_s=20, uploads=200, uploads_s=200, power_loss_s=5
)  # less than four minutes
LONG: Final = Scale(
    decoder_s=1000, clients_s=900, events_s=600, uploads=1000, uploads_s=900, power_loss_s=300
)  # about an hour


def main() -> int:
    """Run the campaigns, and print the table; the exit code is 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="determines the faults (default: %(default)s)")
    parser.add_argument("--long", action="store_true", help="run for an hour")
    parser.add_argument("--only", choices=CAMPAIGNS, help="run only this campaign")
    parser.add_argument("--folder", type=Path, default=Path("build/faults"), help="for logs and findings")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    outcomes = []
    for name, campaign in _campaigns(folder, LONG if options.long else QUICK).items():
        if options.only in (None, name):
            begin = time.monotonic()
            outcomes.append(campaign(Random(f"{options.seed}-{name}")))
            print(f"{outcomes[-1].campaign}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    print(table(outcomes))
    return 1 if has_findings(outcomes) else 0


def _campaigns(folder: Path, scale: Scale) -> dict[str, Callable[[Random], Outcome]]:
    recordings = make_recordings(ASSETS)
    bundle = ASSETS / "bundles" / "compact"
    return {
        "decoder": lambda random: run_decoder(random, folder, seconds=scale.decoder_s),
        "clients": lambda random: run_clients(recordings, random, folder, seconds=scale.clients_s),
        "events": lambda random: run_events(recordings, random, folder, seconds=scale.events_s),
        "chain": lambda random: run_chain(
            recordings, random, folder, uploads=scale.uploads, max_s=scale.uploads_s
        ),
        "full-disk": lambda _: run_full_disk(recordings, folder / "full-disk"),
        "power-loss": lambda random: run_power_loss(
            bundle, random, folder / "power-loss", seconds=scale.power_loss_s
        ),
    }


if __name__ == "__main__":
    sys.exit(main())
