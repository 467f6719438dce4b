"""Array work on one volume: intensities, resampling, statistics, labels, boxes. NumPy only."""
