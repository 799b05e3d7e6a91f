"""The definition of the next-byte distribution, slow and exact; shares no code with the product.

``definition`` says what a prefix-canonical sequence is, ``zoo`` holds the tokenizers,
``language_models`` the models, ``distribution`` the reference probabilities in ``Fraction``
arithmetic, ``comparison`` walks the product beside the reference, and ``python -m oracle.report``
(with ``tests`` on the path) prints the figures.
"""
