"""The store on PostgreSQL: delivery queue, index and spool ledger; the SQL stands in named files."""
