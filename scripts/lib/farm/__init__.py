"""A web farm in one process tree: Syncline nodes, the links between them, and programs that judge the folders.

Shared by the end-to-end tests, the demo and the benchmark. Standard library only, Python 3.11 or later.
"""
