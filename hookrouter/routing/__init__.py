"""Who wants it: routes, their conditions and their endpoints, as values."""
