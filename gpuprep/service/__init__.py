"""The HTTP door: jobs, events, one volume, chunks. Needs the extra ``service``."""
