"""Decode audio files to mono windows and compute log-mel features."""
