"""Reading in a child process, so that a file that kills its reader costs one case."""
