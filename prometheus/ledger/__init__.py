"""The memory: what has happened, and what was decided because of it?"""
