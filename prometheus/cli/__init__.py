"""The command line: what did the person ask, and how do we answer in plain words?"""
