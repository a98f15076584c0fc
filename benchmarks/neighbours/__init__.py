"""One user does everybody else harm, and what another one feels of it."""
