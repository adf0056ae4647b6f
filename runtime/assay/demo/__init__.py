"""A page in the browser on which one bundle is tried, served to this machine alone. `assay serve-demo` runs it."""
