"""The hands: how is an attempt started, watched and stopped?"""
