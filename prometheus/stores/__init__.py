"""The desk's own data: what was known on a date, and which attempt may write it?"""
