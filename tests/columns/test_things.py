"""Columns that number articles and places, by their names and their values; all others may name someone."""

from __future__ import annotations

import pytest

from gpuvgm.columns.things import number_persons, number_things

SKUS = ["4711-AB", "00815", "XL-BLU-2", "B00X4WHP5E", "TSHIRT-RED"]
POSTCODES = ["10115", "SW1A 1AA", "1012 AB", "T2X1V4", "00-950"]
NAMES = ["Ada Lovelace", "Grace Hopper", "Alan Turing"]
MAILS = ["ada1@example.org", "grace2@example.org"]


@pytest.mark.parametrize(
    "name",
    [
        "sku", "SKU", "article", "ArticleNo", "article_number", "Artikelnummer", "artikel_nr", "ArtNr", "product_id",
        "productCode", "StockCode", "part no.", "Materialnummer", "item_code", "código_producto", "référence article",
        "codice articolo", "EAN13", "isbn", "supplier_part_number", "Teile-Nr.",
    ],
)  # fmt: skip
def test_article_numbers_name_no_one(name: str) -> None:
    assert number_things(name) and number_things(name, SKUS)
    assert not number_things(name, NAMES) and not number_things(name, MAILS)


def test_books_are_known_by_their_numbers() -> None:
    books = ["9783161484100", "978-0-306-40615-7", "9791034303663"]
    assert number_things("code", books) and number_things("customer_id", books)
    for others in (["4006381333931"], ["7569217076985"], ["978"], []):
        assert not number_things("code", others)


@pytest.mark.parametrize(
    "name",
    ["zip", "ZIP", "zip_code", "PostCode", "post code", "postal code", "code postal", "PLZ", "customer_zip", "CEP"],
)
def test_postcodes_name_no_one(name: str) -> None:
    assert number_things(name) and number_things(name, POSTCODES)
    assert not number_things(name, NAMES) and not number_things(name, ["+49 30 1234567", "030 7654321-12"])


@pytest.mark.parametrize(
    "name",
    [
        "customer", "customer_id", "patient_no", "id", "code", "key", "number", "name", "product_owner", "item_author",
        "article_written_by", "user_of_product", "partner", "partner_id", "party_no", "zip_customer_id", "post_id",
        "pin", "department", "starter", "artist", "insured_item_holder", "productowner_code", "",
    ],
)  # fmt: skip
def test_others_may_name_someone(name: str) -> None:
    assert not number_things(name) and not number_things(name, SKUS)


@pytest.mark.parametrize(
    "name",
    [
        "phone",
        "Phone No.",
        "mobile_number",
        "Kundennummer",
        "KundenNr",
        "customer_id",
        "account",
        "konto_nr",
        "patientId",
    ]
    + [
        "national insurance number",
        "tax number",
        "Steuernummer",
        "numero de tarjeta",
        "user_id",
        "NHS Number",
        "cell phone",
    ],
)
def test_numbers_of_persons_are_called_so(name: str) -> None:
    assert number_persons(name) and not number_things(name)


@pytest.mark.parametrize(
    "name",
    ["", "x", "no", "id", "amount", "tax", "insurance", "social", "account_balance", "customer value", "card_limit"]
    + ["patients", "phone_calls", "Kundenwert", "population", "national income", "user_age", "zip", "article_id"],
)
def test_amounts_and_things_are_not(name: str) -> None:
    assert not number_persons(name)
