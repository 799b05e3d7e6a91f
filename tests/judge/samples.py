"""The mixture of texts that encoders are compared on: random, from code, from the vocabulary."""

from __future__ import annotations

import functools
import itertools
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from judge.texts import BLANKS, FRAGMENTS, TAILS, random_character, random_text

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping, Sequence

LONGEST = 60  # characters, about
LINES = [
    "The quick brown fox's 1,234,567 jumps over \"lazy\" dogs — isn't that so?",
    "Ça va où l'été s'achève; naïveté, cœur, garçon, Noël.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia, ¿sí?",
    "Příliš žluťoučký kůň úpěl ďábelské ódy. Zażółć gęślą jaźń.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία· γαζέες καὶ μυρτιές.",
    "دخل الرجل إلى البيت، وقال: مَرْحَبًا بِكُمْ! ١٢٣٤",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה, שָׁלוֹם.",
    "सभी मनुष्य जन्म से स्वतंत्र हैं। क्षत्रिय, ज़मीन, १२३",
    "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা নিয়ে জন্মগ্রহণ করে।",
    "எல்லா மனிதரும் சுதந்திரமாகப் பிறக்கின்றனர்.",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน",
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "いろはにほへと ちりぬるを、カタカナとﾊﾝｶｸと漢字。「引用」",
    "모든 인간은 태어날 때부터 자유로우며, 존엄과 권리에 있어 동등하다.",
    "Tất cả mọi người sinh ra đều được tự do và bình đẳng.",
    "Bütün insanlar hür, İstanbul'da ılık; ŞĞÜÖÇ.",
    "ყველა ადამიანი იბადება თავისუფალი. Բոլոր մարդիկ ծնվում են ազատ։",
    "ሁሉም ሰዎች ነጻ ሆነው ይወለዳሉ። ᎣᏏᏲ ᓄᓇᕗᑦ ⵜⴰⵎⴰⵣⵉⵖⵜ",
    "👩‍👩‍👧 🏳️‍🌈 ☝🏿 1️⃣ 🇩🇪🇯🇵 🧑🏽‍🚀 ❤️‍🔥 end",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α∧¬β ≡ ¬(¬α∨β), ℕ ⊆ ℕ₀ ⊂ ℤ ½ ² ③",
    "\u0061\u0301\u0327 \u1e09 \u0041\u030a \u212b \ufb01 \uff21 \u1100\u1161\u11a8 \u0958",
]


@functools.cache
def source_code() -> str:
    """Return a few hundred thousand characters of the standard library."""
    folder = Path(sysconfig.get_path("stdlib"))
    names = "argparse ast datetime difflib doctest heapq inspect locale pydoc re/_parser tarfile"
    return "\n".join((folder / f"{name}.py").read_text("utf-8") for name in names.split())


class Texts:
    """Draws texts for one tokenizer; equal seeds give equal texts."""

    def __init__(
        self,
        source: random.Random,
        token_bytes: Mapping[int, bytes],
        words: Sequence[str] = (),
        extra: Sequence[str] = (),
    ) -> None:
        self._source = source
        self._tokens = [data for _, data in sorted(token_bytes.items()) if data]
        self._long = [data for data in self._tokens if len(data) > 4] or self._tokens
        self._words = words
        self._extra = [text for text in extra if text] or LINES
        self._kinds = [
            self.adversarial,
            self.of_tokens,
            self.of_code,
            self.of_lines,
            self.of_unicode,
            self.of_words,
        ]

    def draw(self) -> str:
        kind = self._source.choices(self._kinds, weights=(38, 27, 14, 11, 6, 4))[0]
        return kind()

    def many(self, count: int) -> Iterator[str]:
        return itertools.islice(iter(self.draw, None), count)

    def adversarial(self) -> str:
        return random_text(self._source, 10)

    def of_tokens(self) -> str:
        """Join random tokens: rare merges, tokens that nothing is encoded to, cut characters."""
        among = self._long if self._source.random() < 0.4 else self._tokens
        chosen = self._source.choices(among, k=self._source.randint(1, 6))
        text = b"".join(chosen).decode(errors="ignore")
        if self._source.random() < 0.25:
            text = self._source.choice(TAILS) + text + self._source.choice(TAILS)
        return text[:400]

    def of_code(self) -> str:
        return self._slice(source_code())

    def of_lines(self) -> str:
        return self._slice(self._source.choice(self._source.choice((LINES, self._extra))))

    def of_unicode(self) -> str:
        count = self._source.randint(1, 12)
        return "".join(random_character(self._source) for _ in range(count))

    def of_words(self) -> str:
        """Put the spelling of an added token somewhere, sometimes cut or doubled."""
        word = self._source.choice(self._words or FRAGMENTS)
        if self._source.random() < 0.3:
            word = word[: self._source.randint(1, len(word))]
        word *= self._source.choice((1, 1, 1, 2, 3))
        around = (self._source.choice((*FRAGMENTS, *BLANKS, "")) for _ in range(2))
        return word.join(around)

    def _slice(self, text: str) -> str:
        first = self._source.randrange(len(text))
        return text[first : first + self._source.randint(1, LONGEST)]
