"""ModernBERT: rotary positions, and local attention in most layers."""
