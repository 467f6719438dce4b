"""Single volumes, prepared by warm slots."""
