"""How did the tables of runtime_db come to be?"""
