"""A service from the outside."""
