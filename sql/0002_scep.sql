-- Migration 2: SCEP beyond the first request: renewals signed with the old identity, polls, look-ups by key.
-- oldest-code: 1

-- step: certificates.renewal_keys
ALTER TABLE certificates ADD COLUMN IF NOT EXISTS renewal_keys INT UNSIGNED NOT NULL DEFAULT 0
  COMMENT 'keys that its holder tried by RenewalReq; counted here so that two nodes that renew one certificate collide';

-- step: certificates.request_subject_sha256
ALTER TABLE certificates ADD COLUMN IF NOT EXISTS request_subject_sha256 BINARY(32) NULL
  COMMENT 'of the subject (DER) that the request had and the certificate has not: a CertPoll names it';

-- step: certificates key spki_sha256
ALTER TABLE certificates ADD KEY IF NOT EXISTS spki_sha256 (spki_sha256);

-- step: certificates_device with the new columns
CREATE OR REPLACE VIEW certificates_device AS SELECT * FROM certificates WHERE kind = 'identity' WITH CASCADED CHECK OPTION;

-- step: certificates_ca with the new columns
CREATE OR REPLACE VIEW certificates_ca AS SELECT * FROM certificates WHERE kind IN ('ca','ra') WITH CASCADED CHECK OPTION;

-- step: certificates_push with the new columns
CREATE OR REPLACE VIEW certificates_push AS SELECT * FROM certificates WHERE kind = 'push' WITH CASCADED CHECK OPTION;
