"""They answer: the verbs, their fields, and how each is carried out. One file a verb."""
