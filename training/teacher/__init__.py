"""YAMNet, and the patches that it labels."""
