"""The teacher YAMNet and the patches that it labels."""
