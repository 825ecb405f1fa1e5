-- Migration 5: deliveries that an admin takes back.
-- oldest-code: 1
--
-- A cancelled delivery leaves the queue and becomes a row of `results` with the status 'cancelled', in one transaction. The device may have fetched the
-- command before: its final report then takes the place of that status, and cancelled_at says that it came afterwards. No answer is lost by a cancellation.

-- step: results.status cancelled
ALTER TABLE results MODIFY COLUMN status ENUM('Acknowledged','Error','CommandFormatError','NotNow','unreadable','oversized','cancelled') NOT NULL
  COMMENT 'NotNow only where the CommandUUID is unknown; cancelled: taken back and not answered';

-- step: results.cancelled_at
ALTER TABLE results ADD COLUMN IF NOT EXISTS cancelled_at DATETIME(6) NULL
  COMMENT 'an admin took the delivery back; with another status than cancelled: the device answered all the same';

-- step: results.cancelled_by
ALTER TABLE results ADD COLUMN IF NOT EXISTS cancelled_by VARCHAR(255) NULL;

-- step: results key command_status
ALTER TABLE results ADD KEY IF NOT EXISTS command_status (command_id, status), DROP KEY IF EXISTS command_id;
