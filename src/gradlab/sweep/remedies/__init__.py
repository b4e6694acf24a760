"""The remedies sweep: which runs it consists of, what came out of them, and in which tier each remedy is."""
