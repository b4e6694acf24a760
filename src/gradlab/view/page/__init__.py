"""Self-contained pages, `report.html`: of a sweep or of a run; they need no network and no other file."""
