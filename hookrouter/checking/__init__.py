"""`check --live`: what is wrong around us, in words."""
