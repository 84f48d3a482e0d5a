"""How did the tables of a ledger come to be?"""
