"""Files of a run: tables, run.json, fingerprint and environment, with their readers and writers."""
