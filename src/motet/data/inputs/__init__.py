"""Inputs: named parts of an example, each from raw columns to numbers or category indices.

One file each; `motet.registry.INPUTS` has their names.
"""
