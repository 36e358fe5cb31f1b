-- Whether any delivery, of whatever state, names this destination.
SELECT EXISTS (SELECT 1 FROM delivery WHERE destination = %(destination)s);
