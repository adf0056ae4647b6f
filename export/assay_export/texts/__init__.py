"""The text that graphs are compared and calibrated on."""
