-- Run once as MariaDB's root: mariadb < setup.sql
-- Makes the database and the account of the `pomona` command, which does the rest (`pomona db migrate`). No password is stored: the server
-- asks the kernel which Unix user is connecting; `pomona`, run by root, connects as the Unix user of that name.
CREATE DATABASE IF NOT EXISTS pomona CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE USER IF NOT EXISTS 'pomona'@'localhost' IDENTIFIED VIA unix_socket;
GRANT ALL PRIVILEGES ON pomona.* TO 'pomona'@'localhost' WITH GRANT OPTION;
GRANT CREATE USER ON *.* TO 'pomona'@'localhost';
