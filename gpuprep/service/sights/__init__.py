"""Looking at cases over HTTP: their JSON, volumes, slices and thumbnails."""
