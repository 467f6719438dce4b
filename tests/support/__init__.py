"""What several test files use: small inputs, runs, and stand-ins for devices and services."""
