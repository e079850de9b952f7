"""The event arrives: everything that speaks to Asterisk's REST Interface."""
