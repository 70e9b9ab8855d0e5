"""The public fault suite: one test for each bug that brokers of this field are known for, named after its symptom."""

from fault_kit import proving_world, small_world, world

__all__ = ["proving_world", "small_world", "world"]
