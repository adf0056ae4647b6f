"""The fp16 variant for GPUs: half-precision products, checked for overflow, and gated on the CPU."""
