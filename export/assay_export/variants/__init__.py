"""The variants that a bundle may have in addition to fp32."""
