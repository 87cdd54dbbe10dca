"""The only door to cryptographic libraries: thin, typed functions over PyNaCl and `cryptography`.

Nothing in here invents a primitive. Secrets are plain ``bytes`` or types whose ``repr`` hides
them; every comparison of secrets runs in constant time.
"""
