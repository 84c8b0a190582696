"""Training data: audio files, the pool of clips, splits, augmentation and sampling weights."""
