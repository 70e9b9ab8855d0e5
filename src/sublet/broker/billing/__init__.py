"""Money: the double-entry ledger, prices and margin, charges, budgets, receipts.

Usage comes from `metering`, prices from the accepted quote, cost from the contract. Invoices, taxes, credit notes and
exports read `charges` and the ledger; nothing of them is decided here.
"""
