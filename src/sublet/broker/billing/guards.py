"""What the database refuses by itself: money that changes or goes, and a transaction that does not sum to zero.

Entries are written first, then the transaction's own row, which seals them: a trigger on it adds the entries up per
currency, and no entry enters a sealed transaction. Entries without a transaction fail at COMMIT by the deferred key.
The same holds on both databases, whoever writes.
"""

from __future__ import annotations

from sublet.broker.billing.tables import (
    ChargeRow,
    EntryRow,
    MarginRow,
    PriceRow,
    ReceiptRow,
    TransactionRow,
    WarningRow,
)
from sublet.storage.append_only import append_only, guard, joined

_UNBALANCED = "ledger: a transaction has two entries or more, and they sum to zero in each currency"
_SEALED = "ledger: this transaction is sealed, no entry is added to it"

_SEAL = {
    "sqlite": (
        f"""CREATE TRIGGER ledger_transactions_balance BEFORE INSERT ON ledger_transactions FOR EACH ROW
    WHEN (SELECT count(*) FROM ledger_entries WHERE transaction_id = NEW.id) < 2 OR EXISTS (
        SELECT 1 FROM ledger_entries WHERE transaction_id = NEW.id GROUP BY currency HAVING exact_sum(amount) <> '0'
    )
    BEGIN SELECT RAISE(ABORT, '{_UNBALANCED}'); END""",  # noqa: S608 - our own words
        f"""CREATE TRIGGER ledger_entries_sealed BEFORE INSERT ON ledger_entries FOR EACH ROW
    WHEN EXISTS (SELECT 1 FROM ledger_transactions WHERE id = NEW.transaction_id)
    BEGIN SELECT RAISE(ABORT, '{_SEALED}'); END""",  # noqa: S608 - our own words
    ),
    "postgresql": (
        f"""CREATE FUNCTION ledger_transactions_balance() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT count(*) FROM ledger_entries WHERE transaction_id = NEW.id) < 2 OR EXISTS (
            SELECT 1 FROM ledger_entries WHERE transaction_id = NEW.id GROUP BY currency HAVING sum(amount) <> 0
        ) THEN
            RAISE EXCEPTION '{_UNBALANCED}' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$""",  # noqa: S608 - our own words
        "CREATE TRIGGER ledger_transactions_balance BEFORE INSERT ON ledger_transactions"
        " FOR EACH ROW EXECUTE FUNCTION ledger_transactions_balance()",
        f"""CREATE FUNCTION ledger_entries_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT 1 FROM ledger_transactions WHERE id = NEW.transaction_id) THEN
            RAISE EXCEPTION '{_SEALED}' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NEW;
    END $$""",  # noqa: S608 - our own words
        "CREATE TRIGGER ledger_entries_sealed BEFORE INSERT ON ledger_entries"
        " FOR EACH ROW EXECUTE FUNCTION ledger_entries_sealed()",
    ),
}

STATEMENTS = {
    "ledger_transactions": append_only("ledger_transactions"),
    "ledger_entries": joined(append_only("ledger_entries", ("transaction_id", "number")), _SEAL),
    "charges": append_only("charges"),
    "lease_prices": append_only("lease_prices"),
    "margin_rules": append_only("margin_rules"),
    "budget_warnings": append_only("budget_warnings"),
    "receipts": append_only("receipts"),
}
"""Table -> dialect -> the statements that guard it. Entries are made after transactions: they carry the seal."""

for _row in (TransactionRow, EntryRow, ChargeRow, PriceRow, MarginRow, WarningRow, ReceiptRow):
    guard(_row.__table__, STATEMENTS[_row.__tablename__])
