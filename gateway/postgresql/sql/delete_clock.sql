-- Forget the time of a gateway that is alone.
DELETE FROM clock;
