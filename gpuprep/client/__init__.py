"""A service from another program's side: jobs, cohorts and single volumes over HTTP."""
