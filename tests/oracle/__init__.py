"""The definition of the next-byte distribution, slow and exact; shares no code with the product.

``definition`` says what a prefix-canonical sequence is, ``zoo`` holds the tokenizers,
``language_models`` the models, ``distribution`` the reference probabilities in ``Fraction``
arithmetic, ``comparison`` walks the product beside the reference, and ``python -m oracle.report``
(with ``tests`` on the path) prints the figures.

``laws`` computes the three laws and the posterior of covers along one text, ``byte_models`` puts
one beside the product's model, ``adversaries`` and ``lazy_walks`` attack evaluation with a
tolerance, and ``lazy_stand_in`` is a plain evaluator, right or with one fault, to try them on.
"""
