"""What the operating system gives: locks between processes, the cores that this process may use, and Ctrl-C."""
