"""Which steps lead from an empty runtime_db to the present one?"""
