"""It is done: the calls, their programs, and the machine that runs them."""
