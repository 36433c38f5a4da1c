"""Numbers of things and places, such as article numbers and postcodes, which name no one; and numbers of persons.

The name of a column says it, in a few languages, and its values must look like such numbers: names, addresses and
sentences may be of someone whatever their column is called.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice

_KINDS = (
    "article|articulo|articolo|artigo|artikel|art|item|product|produkt|producto|produit|prodotto|produto|prod|"
    "material|part|teil|teile|ware|waren|vare|varu|stock|barcode|sku|ean|gtin|upc|asin|isbn|mpn"
)
_COUNTERS = "number|nummer|numero|num|nr|no|id|key|code|codigo|codice|kod|cod|ref|reference|referencia|referenz"
#: What may stand beside them: whose article it is, or which of several.
_BESIDE = re.compile("supplier|vendor|parent|main|base|old|new|the|of|de|do|del|di|du|der|des")
#: What has a number that is someone's; and what may be an amount, too, unless it is said to be a number.
_PERSONS = (
    "phone|telephone|telefon|telefono|telefoon|tel|mobile|mobil|handy|cell|cellphone|fax|msisdn|account|acct|konto|compte|"
    "cuenta|conto|conta|rekening|card|karte|carte|tarjeta|carta|kort|customer|kunde|client|cliente|klant|patient|paziente|"
    "paciente|member|mitglied|membre|socio|passport|passeport|pasaporte|ssn|nhs|citizen|borrower|donor|student|employee"
)
_OPEN = (
    "tax|steuer|fiscal|insurance|versicherung|versicherten|policy|health|social|security|national|identity|personal|person|"
    "user|driver|licence|license"
)
_THING = re.compile(f"({_KINDS})s?({_COUNTERS})?")
_COUNTER = re.compile(_COUNTERS)
_PERSON = re.compile(f"({_PERSONS})|({_PERSONS}|{_OPEN})(n|en|s)?({_COUNTERS})")
_OF_PERSON = re.compile(f"({_PERSONS}|{_OPEN})(n|en|s)?")
_PLACE = re.compile("zip|zipcode|postal|postalcode|post(code|nummer|nr|kod)|plz|postleitzahl|cep|psc|eircode")
_AMOUNT = re.compile(
    "(price|cost|fee|fare|amount|total|sum|revenue|income|salary|wage|pay|payment|balance|rent|value|preis|kosten|betrag|summe|"
    "umsatz|gehalt|lohn|miete|prix|montant|precio|importe|prezzo|importo|cent|euro|dollar|usd|eur|gbp)s?"
)
_NUMBER = re.compile(r"(?=.*\d)[^\s@]{1,20}|[A-Z\d][A-Z\d./_-]{0,19}")  # a word with a digit, or of capitals
_POSTCODE = re.compile(r"(?=.*\d)[A-Z\d-]{2,10}|(?=.*\d)[A-Z\d-]{2,5} [A-Z\d]{2,5}")
_BOOK = re.compile(r"97[89](-?\d){10}")  # ISBN-13, which no other numbers begin like
LOOKED_AT, _ALIKE = 1_000, 0.95


def number_things(name: str, texts: Sequence[object] = ()) -> bool:
    """Return whether a column numbers articles, other things or places, by its name and its values, if there are any.

    Numbers of books are known whatever the column is called.

    Parameters
    ----------
    name : str
        The column.
    texts : sequence
        Its different values; missing ones are left out.
    """
    words, looked_at = _words(name), [text.strip() for text in islice(texts, LOOKED_AT) if isinstance(text, str)]
    if looked_at and sum(bool(_BOOK.fullmatch(text)) for text in looked_at) >= _ALIKE * len(looked_at):
        return True
    last = [*words]
    while len(last) > 1 and _COUNTER.fullmatch(last[-1]):
        last.pop()
    if any(_PLACE.fullmatch(end) for end in ("".join(last[-1:]), "".join(words[-2:]))):
        pattern = _POSTCODE
    elif any(map(_THING.fullmatch, words)) and all(_is_of_thing(word) for word in words):
        pattern = _NUMBER
    else:
        return False
    return sum(bool(pattern.fullmatch(text)) for text in looked_at) >= _ALIKE * len(looked_at)


def is_amount(name: str) -> bool:
    """Return whether a column has amounts of money by its name, which number no one."""
    return any(map(_AMOUNT.fullmatch, _words(name)))


def number_persons(name: str) -> bool:
    """Return whether a column has numbers of persons by its name, such as phone numbers, and says nothing else."""
    words = _words(name)
    if not all(any(of.fullmatch(word) for of in (_OF_PERSON, _PERSON, _COUNTER, _BESIDE)) for word in words):
        return False
    counted = any(map(_OF_PERSON.fullmatch, words)) and any(map(_COUNTER.fullmatch, words))
    return counted or any(map(_PERSON.fullmatch, words))


def _words(name: str) -> list[str]:
    """Words of a name, in small letters without marks: "ArtikelNr" has two."""
    parted = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", name)
    plain = unicodedata.normalize("NFKD", parted).encode("ascii", "ignore").decode()
    return re.findall("[a-z]+", plain.lower())


def _is_of_thing(word: str) -> bool:
    return any(pattern.fullmatch(word) for pattern in (_THING, _COUNTER, _BESIDE))
