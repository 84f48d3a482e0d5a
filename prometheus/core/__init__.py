"""Our words: what do time, identity, settings and errors mean everywhere else?"""
