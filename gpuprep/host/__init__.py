"""What this machine gives: array backend, memory and cores, signals, owners of folders, scratch."""
