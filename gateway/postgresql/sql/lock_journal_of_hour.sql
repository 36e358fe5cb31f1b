-- Nobody writes into the table of an hour from now on; it ends with the transaction.
LOCK TABLE journal_{hour} IN ACCESS EXCLUSIVE MODE;
