"""The pure decision core: given these facts, what must be done now, and why?"""
