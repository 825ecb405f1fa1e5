-- Migration 7: requests for push certificates, and what an admin keeps about a topic.
-- oldest-code: 1
--
-- A key that was made for a request waits here until a certificate with its public key is imported; then it moves to that certificate and the row goes.
-- Only the `pomona` command reads these tables, pomona-maintain the notes.

-- step: push_requests
CREATE TABLE IF NOT EXISTS push_requests (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  kind ENUM('push','vendor') NOT NULL COMMENT 'what the certificate will be',
  spki_sha256 BINARY(32) NOT NULL COMMENT 'of its public key: how the certificate is known when it comes',
  subject VARCHAR(1024) NOT NULL,
  csr BLOB NOT NULL COMMENT 'DER',
  secret_id BINARY(16) NOT NULL COMMENT 'its private key',
  created_at DATETIME(6) NOT NULL,
  created_by VARCHAR(255) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY spki_sha256 (spki_sha256)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Keys in staging: the certificate is still to come';

-- step: push_topics
CREATE TABLE IF NOT EXISTS push_topics (
  topic VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  apple_id VARCHAR(255) NULL COMMENT 'the account at identity.apple.com that must renew it',
  note VARCHAR(1024) NULL COMMENT 'portal serial number, who knows the password, ...',
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (topic)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'What an admin wrote down about a topic; survives every renewal';
