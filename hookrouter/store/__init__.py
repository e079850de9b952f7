"""The journal: what must survive us, on disk before it is acted on."""
