"""What a tokenizer makes of one row of logits, without a language model behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nextbyte import _core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TokenizerRows"]


class TokenizerRows:
    """The part of `Tokenizer` that knows rows of logits; made by that class only."""

    _compiled: _core.CompiledTokenizer
    _rank_order: NDArray[np.uint32] | None

    @property
    def rank_order(self) -> NDArray[np.uint32]:
        """The token at each position of a presorted row, shape (vocab_size,), read-only.

        Tokens that texts consist of come first, in lexicographic order of their bytes; then all
        others, ascending. Masses are made two to three times faster from rows in this order, which
        a model gives whose output head was permuted once: `head.weight[rank_order]`. Where rows
        have fewer positions than there are tokens, leave out the ids behind them; where they have
        more, append those ids.

        Examples
        --------
        >>> import nextbyte as nb
        >>> tok = nb.Tokenizer.from_pretrained("smollm2-135m")
        >>> [tok.token_bytes(token) for token in tok.rank_order[41047:41050].tolist()]
        [b'hello', b'hells', b'helm']
        """
        if self._rank_order is None:
            order = self._compiled.rank_order
            order.flags.writeable = False
            self._rank_order = order
        return self._rank_order

    def mass_row(self, logits: NDArray[Any], *, presorted: bool = False) -> _core.MassRow:
        """Turn one row of logits into the probabilities of byte prefixes of the next token.

        Parameters
        ----------
        logits
            Shape (n,), float16, float32 or float64; n at least the number of tokens. Masses of
            float64 rows are exact to a double's precision, the others' to 1e-6 (relative).
        presorted
            The row is in the order of `rank_order`, not in that of token ids.

        Raises
        ------
        InvalidInputError
            A row that is too narrow, has NaN or +inf, or no finite logit.

        Examples
        --------
        >>> import nextbyte as nb, numpy as np
        >>> tok = nb.Tokenizer.from_pretrained("smollm2-135m")
        >>> row = tok.mass_row(np.zeros(tok.vocab_size, dtype=np.float32))
        >>> round(float(row.roots()[ord(" ")]), 3)
        0.651
        >>> round(float(row.children(b" th")[ord("e")] / row.mass(b" th")), 3)
        0.371
        """
        return _core.MassRow(self._compiled, logits, presorted=presorted)
