"""The bundle format and the network's arithmetic."""
