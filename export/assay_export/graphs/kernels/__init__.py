"""What only graphs for assay-kernels have: weights and tables in the layouts of its operators, and packed rows."""
