"""A whole run, from the list of cases to the report."""
