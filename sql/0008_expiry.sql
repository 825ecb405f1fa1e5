-- Migration 8: which thresholds of a certificate's life were told of, so that each is told once.
-- oldest-code: 1

-- step: expiry_notices
CREATE TABLE IF NOT EXISTS expiry_notices (
  subject BINARY(32) NOT NULL COMMENT 'SHA-256 of the certificate; of the words, for what could not be looked at',
  stage TINYINT UNSIGNED NOT NULL COMMENT 'how many thresholds were told of; 7: that it has expired',
  told_at DATETIME(6) NOT NULL,
  PRIMARY KEY (subject)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Each threshold of a life is told of once';
