"""`evergraph doctor`: looks at everything that an installation stands on, and changes nothing."""
