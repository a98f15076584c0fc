"""Every bound of Evergraph by area, name and unit. Hitting one is a typed error, never a hang."""
