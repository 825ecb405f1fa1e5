-- Migration 1: every table of docs/data-and-trust.md, section 1.
-- oldest-code: 1
--
-- Rules of this folder: forward only; one repeatable statement per step (`-- step: name`); each step is recorded with its checksum in
-- schema_migrations. Ids, hashes, topics and tokens are ascii_bin or VARBINARY: a collation that folds case would make two devices one.
-- Times are UTC and come from the programs; only leases use the database's clock.

-- step: devices
CREATE TABLE IF NOT EXISTS devices (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  external_id VARBINARY(255) NOT NULL COMMENT 'UDID, or EnrollmentID under User Enrollment, as sent',
  user_enrollment BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'external_id is an EnrollmentID',
  serial_number VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  model VARCHAR(255) NULL,
  model_name VARCHAR(255) NULL,
  product_name VARCHAR(255) NULL,
  device_name VARCHAR(255) NULL,
  os_version VARCHAR(64) NULL,
  build_version VARCHAR(64) NULL,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY external_id (external_id),
  KEY serial_number (serial_number)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'One row per physical device or user-enrolled device';

-- step: secrets
CREATE TABLE IF NOT EXISTS secrets (
  id BINARY(16) NOT NULL COMMENT 'random; part of the key derivation',
  domain ENUM('ca','signing','push','dep','escrow','message','https') NOT NULL,
  purpose VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'associated data of the seal',
  key_id BINARY(8) NOT NULL COMMENT 'first bytes of SHA-256 of the domain key',
  nonce BINARY(12) NOT NULL,
  body MEDIUMBLOB NOT NULL COMMENT 'AES-256-GCM ciphertext and tag',
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY domain (domain)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Private keys and tokens, sealed by domain';

-- step: enrollments
CREATE TABLE IF NOT EXISTS enrollments (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  uuid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'in the URI SAN of its identity certificates',
  device_id BIGINT UNSIGNED NOT NULL,
  generation INT UNSIGNED NOT NULL COMMENT '1 for the first enrolment of the device; user channels have that of their device channel',
  parent_id BIGINT UNSIGNED NULL COMMENT 'the device channel of a user channel',
  channel ENUM('device','user','shared-ipad-user','user-enrollment-device','user-enrollment-user') NOT NULL,
  external_id VARBINARY(511) NOT NULL COMMENT 'UDID, UDID:UserID, ...: the id that the API and other tools use',
  current_id VARBINARY(511) NULL COMMENT 'external_id while this row is the one that is served',
  state ENUM('pending','current','replaced','checked-out','disabled','rejected') NOT NULL,
  frozen BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'identity.conflict: answered 200 empty until resolved',
  auth ENUM('tls','signature') NOT NULL,
  topic VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  push_magic VARBINARY(255) NULL,
  push_token VARBINARY(255) NULL,
  user_short_name VARCHAR(255) NULL,
  user_long_name VARCHAR(255) NULL,
  awaiting_configuration BOOLEAN NOT NULL DEFAULT FALSE,
  profile_id BIGINT UNSIGNED NULL,
  token_update_tally INT UNSIGNED NOT NULL DEFAULT 0 COMMENT '0: not usable yet',
  created_at DATETIME(6) NOT NULL,
  token_updated_at DATETIME(6) NULL,
  last_seen_at DATETIME(6) NULL COMMENT 'written at most every last-seen-interval',
  ended_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uuid (uuid),
  UNIQUE KEY current_id (current_id),
  KEY external_id (external_id),
  KEY device_generation (device_id, generation),
  KEY parent_id (parent_id),
  KEY topic_state (topic, state),
  CONSTRAINT current_has_id CHECK (current_id IS NULL OR current_id = external_id),
  CONSTRAINT user_has_parent CHECK ((channel IN ('device','user-enrollment-device')) = (parent_id IS NULL)),
  CONSTRAINT enrollment_device FOREIGN KEY (device_id) REFERENCES devices (id),
  CONSTRAINT enrollment_parent FOREIGN KEY (parent_id) REFERENCES enrollments (id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'One row per generation and channel; a re-enrolment inserts, nothing is moved';

-- step: profiles
CREATE TABLE IF NOT EXISTS profiles (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  ticket_id BIGINT UNSIGNED NULL,
  uuid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'PayloadUUID of the root',
  root_identifier VARCHAR(255) NOT NULL COMMENT 'frozen',
  topic VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'frozen',
  server_url VARCHAR(1024) NOT NULL COMMENT 'frozen',
  checkin_url VARCHAR(1024) NOT NULL COMMENT 'frozen',
  access_rights INT UNSIGNED NOT NULL COMMENT 'may only lose bits',
  capabilities VARCHAR(1024) NOT NULL COMMENT 'space separated; per-user-connections is frozen',
  sign_message BOOLEAN NOT NULL,
  extra LONGTEXT NOT NULL DEFAULT '{}' COMMENT 'JSON of frozen values that an adopted profile adds',
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY ticket_id (ticket_id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'What an enrolment was given; renewals are rendered from it';

-- step: tickets
CREATE TABLE IF NOT EXISTS tickets (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT 'the public ticket number',
  uuid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'in the URI SAN while no enrolment exists',
  secret_sha256 BINARY(32) NULL COMMENT 'of TICKET; NULL for tickets that no URL names (open enrolment, renewal)',
  challenge_sha256 BINARY(32) NOT NULL,
  parent_id BIGINT UNSIGNED NULL COMMENT 'the --uses N ticket this child was minted from',
  purpose ENUM('enroll','open','renew') NOT NULL,
  state ENUM('open','revoked','closed') NOT NULL DEFAULT 'open' COMMENT 'closed: its certificate was seen at /mdm, or the renewal settled',
  auth ENUM('tls','signature') NOT NULL DEFAULT 'tls',
  identity ENUM('scep','pkcs12') NOT NULL DEFAULT 'scep',
  topic VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  bind_udid VARBINARY(255) NULL,
  bind_serial VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  enrollment_id BIGINT UNSIGNED NULL COMMENT '--for, or the enrolment that a renewal renews',
  uses INT UNSIGNED NOT NULL DEFAULT 1,
  uses_left INT UNSIGNED NOT NULL DEFAULT 1 COMMENT 'child tickets still to be minted where uses > 1',
  attempts_left INT UNSIGNED NOT NULL COMMENT 'keys that may still be tried, the first one included (ticket-attempts at first)',
  expires_at DATETIME(6) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  created_by VARCHAR(255) NOT NULL,
  revoked_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uuid (uuid),
  UNIQUE KEY secret_sha256 (secret_sha256),
  UNIQUE KEY challenge_sha256 (challenge_sha256),
  KEY parent_id (parent_id),
  KEY enrollment_id (enrollment_id),
  KEY expires_at (expires_at)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Permission to enrol or renew; only hashes of its secrets are here';

-- step: certificates
CREATE TABLE IF NOT EXISTS certificates (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  kind ENUM('identity','ca','ra','push','vendor','mdmcert','https','https-ca','signing','dep-token','dep-anchor','supervision','escrow','trust') NOT NULL,
  name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'what an admin calls it; CA name for ca and ra',
  status ENUM('pending','issued','next','active','retiring','retired','revoked') NOT NULL
    COMMENT 'pending: serial and TBS recorded, not signed yet; identities are issued, retiring, retired or revoked; others next, active or retired',
  issuer_id BIGINT UNSIGNED NULL COMMENT 'the row of kind ca that issued it',
  serial VARBINARY(20) NOT NULL COMMENT 'unsigned big-endian',
  subject VARCHAR(1024) NOT NULL,
  issuer VARCHAR(1024) NOT NULL,
  sha256 BINARY(32) NULL COMMENT 'of the DER; NULL while pending',
  spki_sha256 BINARY(32) NOT NULL,
  not_before DATETIME(6) NOT NULL,
  not_after DATETIME(6) NOT NULL,
  topic VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'push certificates',
  tbs BLOB NULL COMMENT 'to-be-signed bytes of what we issue, recorded before signing',
  der BLOB NULL,
  chain MEDIUMBLOB NULL COMMENT 'PEM of further certificates imported with it',
  secret_id BINARY(16) NULL COMMENT 'its private key',
  ticket_id BIGINT UNSIGNED NULL,
  enrollment_id BIGINT UNSIGNED NULL COMMENT 'the device channel an identity is bound to',
  renews_id BIGINT UNSIGNED NULL COMMENT 'the certificate whose holder asked for it',
  transaction_id VARBINARY(255) NULL COMMENT 'SCEP',
  requester VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'address',
  created_at DATETIME(6) NOT NULL,
  issued_at DATETIME(6) NULL,
  first_seen_at DATETIME(6) NULL COMMENT 'at /mdm',
  retiring_at DATETIME(6) NULL,
  ended_at DATETIME(6) NULL,
  revoke_reason VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  PRIMARY KEY (id),
  UNIQUE KEY sha256 (sha256),
  UNIQUE KEY issuer_serial (issuer_id, serial),
  KEY ticket_spki (ticket_id, spki_sha256),
  KEY enrollment_id (enrollment_id, status),
  KEY renews_id (renews_id),
  KEY kind_name (kind, name, status),
  KEY kind_not_after (kind, not_after),
  CONSTRAINT issued_has_der CHECK (status = 'pending' OR (der IS NOT NULL AND sha256 IS NOT NULL) OR status = 'revoked')
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Every certificate the server knows, by kind';

-- step: commands
CREATE TABLE IF NOT EXISTS commands (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  uuid VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'CommandUUID',
  request_type VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  kind ENUM('stored','rendered') NOT NULL,
  body LONGBLOB NULL COMMENT 'stored: the plist, sealed in domain message',
  body_hmac BINARY(32) NULL COMMENT 'keyed hash of the plist: the same UUID may come again with the same bytes only',
  renderer VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  parameters LONGTEXT NULL COMMENT 'JSON without secrets',
  created_at DATETIME(6) NOT NULL,
  created_by VARCHAR(255) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY uuid (uuid),
  KEY created_at (created_at),
  CONSTRAINT stored_or_rendered CHECK ((kind = 'stored') = (body IS NOT NULL) AND (kind = 'rendered') = (renderer IS NOT NULL))
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Stored once, delivered to many';

-- step: queue
CREATE TABLE IF NOT EXISTS queue (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  enrollment_id BIGINT UNSIGNED NOT NULL,
  command_id BIGINT UNSIGNED NOT NULL,
  state ENUM('queued','not-now','held') NOT NULL DEFAULT 'queued' COMMENT 'not-now: skipped until the next session',
  priority TINYINT UNSIGNED NOT NULL DEFAULT 100 COMMENT 'lower is served first',
  enqueued_at DATETIME(6) NOT NULL,
  not_now_count INT UNSIGNED NOT NULL DEFAULT 0,
  not_now_at DATETIME(6) NULL COMMENT 'the latest one',
  PRIMARY KEY (id),
  UNIQUE KEY delivery (enrollment_id, command_id),
  KEY next_command (enrollment_id, state, priority, enqueued_at, id),
  KEY command_id (command_id),
  CONSTRAINT queue_enrollment FOREIGN KEY (enrollment_id) REFERENCES enrollments (id),
  CONSTRAINT queue_command FOREIGN KEY (command_id) REFERENCES commands (id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Outstanding deliveries only: a poll costs the same whatever came before';

-- step: results
CREATE TABLE IF NOT EXISTS results (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  enrollment_id BIGINT UNSIGNED NOT NULL,
  command_uuid VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  command_id BIGINT UNSIGNED NULL COMMENT 'NULL: the device reported a CommandUUID that was never queued for it',
  request_type VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
  status ENUM('Acknowledged','Error','CommandFormatError','NotNow','unreadable','oversized') NOT NULL
    COMMENT 'NotNow only where the CommandUUID is unknown',
  body LONGBLOB NULL COMMENT 'the report, sealed in domain message; NULL when oversized',
  enqueued_at DATETIME(6) NULL,
  not_now_count INT UNSIGNED NOT NULL DEFAULT 0,
  received_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY report (enrollment_id, command_uuid),
  KEY command_id (command_id),
  KEY received_at (received_at)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Settled deliveries: the first final report of each';

-- step: push_state
CREATE TABLE IF NOT EXISTS push_state (
  enrollment_id BIGINT UNSIGNED NOT NULL,
  due_at DATETIME(6) NULL COMMENT 'push at or after this time; NULL: nothing to say',
  lease_owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  lease_until DATETIME(6) NULL COMMENT 'by the database clock',
  attempts INT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'failed ones in a row',
  dead_since DATETIME(6) NULL COMMENT 'APNs called the token dead; a TokenUpdate or any message revives it',
  last_pushed_at DATETIME(6) NULL,
  last_status SMALLINT UNSIGNED NULL,
  last_reason VARCHAR(255) NULL,
  last_apns_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  PRIMARY KEY (enrollment_id),
  KEY due_at (due_at),
  CONSTRAINT push_enrollment FOREIGN KEY (enrollment_id) REFERENCES enrollments (id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Apart from enrollments, so that pushes and check-ins do not fight over a row';

-- step: escrow
CREATE TABLE IF NOT EXISTS escrow (
  enrollment_id BIGINT UNSIGNED NOT NULL COMMENT 'device channel',
  kind ENUM('unlock-token','bootstrap-token') NOT NULL,
  secret_id BINARY(16) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (enrollment_id, kind),
  CONSTRAINT escrow_enrollment FOREIGN KEY (enrollment_id) REFERENCES enrollments (id)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'What devices entrusted to the server';

-- step: events
CREATE TABLE IF NOT EXISTS events (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  at DATETIME(6) NOT NULL,
  what VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'noun.verb: enrollment.new, identity.refused, ...',
  who VARCHAR(255) NOT NULL COMMENT 'device, cli:USER, api:KEY, worker name',
  external_id VARBINARY(511) NULL,
  enrollment_id BIGINT UNSIGNED NULL,
  serial_number VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  certificate_sha256 BINARY(32) NULL,
  command_uuid VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ticket_id BIGINT UNSIGNED NULL,
  detail VARCHAR(2048) NOT NULL DEFAULT '' COMMENT 'for people; never a secret',
  PRIMARY KEY (id),
  KEY at (at),
  KEY external_id (external_id, at),
  KEY what (what, at)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Kept; survives the device';

-- step: messages
CREATE TABLE IF NOT EXISTS messages (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  enrollment_id BIGINT UNSIGNED NOT NULL,
  type VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  body LONGBLOB NOT NULL COMMENT 'raw request body, sealed in domain message',
  received_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY enrollment_type (enrollment_id, type, id),
  KEY received_at (received_at)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Raw check-in bodies; the last Authenticate and TokenUpdate always stay';

-- step: event_deliveries
CREATE TABLE IF NOT EXISTS event_deliveries (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  event_id BIGINT UNSIGNED NOT NULL,
  message_id BIGINT UNSIGNED NULL,
  target VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  state ENUM('due','failed') NOT NULL DEFAULT 'due',
  attempts INT UNSIGNED NOT NULL DEFAULT 0,
  next_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY once (event_id, target),
  KEY due (target, state, next_at)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Gone when delivered; no high-water mark';

-- step: leases
CREATE TABLE IF NOT EXISTS leases (
  name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  lease_until DATETIME(6) NOT NULL COMMENT 'by the database clock',
  PRIMARY KEY (name)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Row locks and GET_LOCK do not hold across Galera nodes; these do';

-- step: api_keys
CREATE TABLE IF NOT EXISTS api_keys (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  key_sha256 BINARY(32) NOT NULL,
  scopes SET('read','command','admin') NOT NULL,
  created_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NULL,
  revoked_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY name (name),
  UNIQUE KEY key_sha256 (key_sha256)
) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'Admin API';

-- Views: the only way in which programs reach secrets and certificates.

-- step: secrets_ca
CREATE OR REPLACE VIEW secrets_ca AS SELECT * FROM secrets WHERE domain = 'ca' WITH CASCADED CHECK OPTION;

-- step: secrets_signing
CREATE OR REPLACE VIEW secrets_signing AS SELECT * FROM secrets WHERE domain = 'signing' WITH CASCADED CHECK OPTION;

-- step: secrets_push
CREATE OR REPLACE VIEW secrets_push AS SELECT * FROM secrets WHERE domain = 'push' WITH CASCADED CHECK OPTION;

-- step: secrets_dep
CREATE OR REPLACE VIEW secrets_dep AS SELECT * FROM secrets WHERE domain = 'dep' WITH CASCADED CHECK OPTION;

-- step: secrets_escrow
CREATE OR REPLACE VIEW secrets_escrow AS SELECT * FROM secrets WHERE domain = 'escrow' WITH CASCADED CHECK OPTION;

-- step: secrets_message
CREATE OR REPLACE VIEW secrets_message AS SELECT * FROM secrets WHERE domain = 'message' WITH CASCADED CHECK OPTION;

-- step: secrets_https
CREATE OR REPLACE VIEW secrets_https AS SELECT * FROM secrets WHERE domain = 'https' WITH CASCADED CHECK OPTION;

-- step: certificates_device
CREATE OR REPLACE VIEW certificates_device AS SELECT * FROM certificates WHERE kind = 'identity' WITH CASCADED CHECK OPTION;

-- step: certificates_ca
CREATE OR REPLACE VIEW certificates_ca AS SELECT * FROM certificates WHERE kind IN ('ca','ra') WITH CASCADED CHECK OPTION;

-- step: certificates_push
CREATE OR REPLACE VIEW certificates_push AS SELECT * FROM certificates WHERE kind = 'push' WITH CASCADED CHECK OPTION;

-- step: certificates_public
CREATE OR REPLACE VIEW certificates_public AS
  SELECT id, kind, name, status, issuer_id, serial, subject, issuer, sha256, not_before, not_after, topic, der, chain
  FROM certificates WHERE kind <> 'identity';
