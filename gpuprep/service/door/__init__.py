"""Who is let in, and what comes before every route."""
