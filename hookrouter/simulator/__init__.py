"""An Asterisk to develop against: the server role of ARI, without media."""
