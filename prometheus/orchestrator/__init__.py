"""The driver: how do facts reach the core, and orders the hands?"""
