"""A wire-faithful double of Polymarket and Polygon that knows the truth.

The world (`world`, `markets`, `book`, `leaders`, `matching`) is a pure function of
(seed, genesis, height). Everything around it serves that world over the venue's own
protocols on one port. See `simulator.__main__` for the command line.
"""
