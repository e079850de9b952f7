"""Tell them: one event to one endpoint, signed, in order, with retries and a deadline."""
