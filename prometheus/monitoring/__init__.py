"""The eyes: what is happening now, what is late, and how is it shown?"""
