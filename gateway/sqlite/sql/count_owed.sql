-- How much is kept for a destination, or for all, in some states: by an index alone, which covers what is not delivered.
SELECT count(*) FROM delivery INDEXED BY delivery_owed WHERE delivery.state <> 'delivered' AND {filter};
