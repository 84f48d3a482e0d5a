"""The rules of clean data: which rows are unfit for use, and by which rule?"""
