"""Derived series: what do the prices of the past say, in numbers?"""
