"""Where annotated rows are written, so that an interrupted run can go on: files, their journal, standard output."""
