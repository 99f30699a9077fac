"""Inputs: named parts of an example, from raw columns to the arrays that an encoder takes.

Each kind is one file; `motet.registry.INPUTS` has their names, and others are added with
``motet.register("input", name, MyInput)``.
"""
