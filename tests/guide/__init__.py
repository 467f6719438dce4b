"""The README and the guide: what they show works, what they say is so."""
