"""The command line. `main` has the entry point; each other module is a command."""
