"""Text to speech, for `say`."""
