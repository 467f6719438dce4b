"""What a run leaves about itself: output, hold, state, log, failures, report, metrics, index."""
