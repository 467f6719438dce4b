"""What a run is asked to do: the models of its config, the strict file, overrides, the digest."""
