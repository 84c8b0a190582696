"""Train the built-in bundle `compact` on freely available audio that a teacher labels."""
