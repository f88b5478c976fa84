"""The pure core: values, folds and decisions. Standard library only, no clock, no I/O."""
