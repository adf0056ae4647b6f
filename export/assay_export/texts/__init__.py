"""The texts that graphs are compared and calibrated on."""
