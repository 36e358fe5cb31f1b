-- A node ends in order.
DELETE FROM node WHERE instance = %(instance)s;
