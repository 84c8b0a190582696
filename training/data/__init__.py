"""Audio files, clips, splits, augmentation and sampling weights."""
