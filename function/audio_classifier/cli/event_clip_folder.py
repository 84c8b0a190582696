"""The clips of `timeline --save-clips`, from any number of recordings."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audio_classifier.cli.terminal import print_line

if TYPE_CHECKING:
    from audio_classifier.audio.channels import Channel
    from audio_classifier.audio.source import AudioSource
    from audio_classifier.batch.inputs import AudioInput
    from audio_classifier.batch.timelines import Analyzed


class EventClipFolder:
    """A folder with a folder for each class, into which the sound events of recordings are cut.

    Parameters
    ----------
    folder
        The folder.
    names
        The inputs as they were named.  Names of clips contain the paths of recordings below the folders that
        are named, so that recordings of the same name in different folders have different clips.
    margin_s
        How much before and after an event is saved with it; None for the default.
    channel
        The channel that is classified.
    """

    def __init__(
        self, folder: Path, names: Sequence[str], margin_s: float | None, channel: Channel = None
    ) -> None:
        self._folder, self._margin_s, self._channel = folder, margin_s, channel
        self._root = _common_folder(names)
        self._saved = self._kept = 0
        self._counting = threading.Lock()

    def save(self, audio_input: AudioInput, source: AudioSource, analyzed: Analyzed) -> None:
        """Cut the events out of a recording; any thread may call it."""
        from audio_classifier.batch.event_clips import MARGIN_S, KeptFile, save_event_clips

        margin_s = MARGIN_S if self._margin_s is None else self._margin_s
        clips = save_event_clips(
            source,
            self._clip_name(audio_input.name),
            analyzed.events,
            self._folder,
            margin_s=margin_s,
            channel=self._channel,
        )
        for clip in clips:
            is_kept = isinstance(clip, KeptFile)
            with self._counting:
                self._kept += is_kept
                self._saved += not is_kept
            if is_kept:
                print_line(f"kept, because it exists: {clip.path}")

    def report(self) -> None:
        """Print how many clips were saved."""
        kept = f", {self._kept} existing files kept" if self._kept else ""
        print_line(f"{self._saved} {'clip' if self._saved == 1 else 'clips'} saved in {self._folder}{kept}")

    def _clip_name(self, name: str) -> str:
        if self._root is not None and os.path.exists(name):
            return os.path.relpath(os.path.abspath(name), self._root)
        return name.partition("://")[2] or name


def _common_folder(names: Sequence[str]) -> str | None:
    """Return the folder that contains all files and folders that are named; None if there is none."""
    paths = [os.path.abspath(name) for name in names if os.path.exists(name)]
    folders = {path if os.path.isdir(path) else os.path.dirname(path) for path in paths}
    try:
        return os.path.commonpath(folders) if folders else None
    except ValueError:  # on different drives
        return None
