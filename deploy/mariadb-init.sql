-- The image has just given its user every right on the database, which would let it change history.
REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'orderledger'@'%';
