"""`hookrouter setup`: what an Asterisk's configuration folder lacks for the router, and adding it."""
