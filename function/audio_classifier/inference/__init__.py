"""`AudioClassifier`: clips, windows and sound events."""
