"""What is measured on which pairs, calibrated and compared with the controls."""
