-- Migration 6: a refused identity is told of in `events` now and then, not once for every request.
-- oldest-code: 1

-- step: certificates.refusal_told_at
ALTER TABLE certificates ADD COLUMN IF NOT EXISTS refusal_told_at DATETIME(6) NULL
  COMMENT 'when an event last said that it was refused; whoever holds it could fill the table of events otherwise';

-- step: certificates.refusal_told
ALTER TABLE certificates ADD COLUMN IF NOT EXISTS refusal_told BINARY(32) NULL COMMENT 'SHA-256 of what that event said';

-- step: certificates_device with the new columns
CREATE OR REPLACE VIEW certificates_device AS SELECT * FROM certificates WHERE kind = 'identity' WITH CASCADED CHECK OPTION;

-- step: certificates_ca with the new columns
CREATE OR REPLACE VIEW certificates_ca AS SELECT * FROM certificates WHERE kind IN ('ca','ra') WITH CASCADED CHECK OPTION;

-- step: certificates_push with the new columns
CREATE OR REPLACE VIEW certificates_push AS SELECT * FROM certificates WHERE kind = 'push' WITH CASCADED CHECK OPTION;
