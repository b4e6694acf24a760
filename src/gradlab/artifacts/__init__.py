"""What a run leaves on disk: tables, run.json, fingerprint, environment, and how they are read."""
