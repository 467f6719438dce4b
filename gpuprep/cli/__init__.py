"""The command's door."""
