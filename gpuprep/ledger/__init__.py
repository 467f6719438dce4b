"""What a run leaves about itself: output, state, log, failures, report, metrics, index."""
