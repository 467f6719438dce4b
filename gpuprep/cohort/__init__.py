"""Which cases there are: discovery, layouts, selection."""
