"""What the machine of a service does: now, and in the hour before."""
