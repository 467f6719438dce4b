"""The version of this package, as its files record it."""

__version__ = "0.1.0"
