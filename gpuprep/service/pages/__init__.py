"""The pages: one shell for all of them, plain modules, and bundled libraries; no data and nothing secret."""
