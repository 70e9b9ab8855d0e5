"""Time, memory and energy of a workload on (accelerator, fabric, count)."""
