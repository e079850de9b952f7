"""Which router owns which Asterisk, where several share a database."""
