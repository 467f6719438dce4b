"""One case, from its files to a committed store."""
