"""Lambda events, batches, metrics and SnapStart."""
