"""The fp16 variant for GPUs: authored through the Precision seam, audited for overflow, gated on the CPU."""
