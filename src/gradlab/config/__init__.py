"""The config: its schema, its keys, and how its nodes become objects."""
