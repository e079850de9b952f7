"""What an endpoint may do: one table for verbs and operations. Pure."""
