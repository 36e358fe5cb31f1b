"""Looking after spool and database: what is wrong with them, and the database made anew from the spool."""
