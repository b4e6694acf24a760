"""Where a run can be followed beside its CSV files: one module for each library, imported only when it is chosen."""
