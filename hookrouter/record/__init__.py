"""What was said in each call, kept for days, and looking for it: in a file of its own beside the journal, or in the same database."""
