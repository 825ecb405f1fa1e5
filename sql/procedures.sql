-- Stored procedures of the hot path: settling a report and finding the next command is one round trip and one transaction. Rights are the
-- caller's (SQL SECURITY INVOKER), so sql/grants.sql stays the whole truth.
--
-- Each stands here once, as it is now. `pomona db migrate` makes it anew after the migrations when its text has changed. A program that cannot do
-- with the procedure as it was before needs a migration number too: that is what a program looks for.

-- step: settle_report
CREATE OR REPLACE PROCEDURE settle_report(
  IN p_enrollment BIGINT UNSIGNED, IN p_uuid VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin,
  IN p_status VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin, IN p_body LONGBLOB,
  IN p_what VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin, IN p_external_id VARBINARY(511), IN p_detail VARCHAR(2048),
  IN p_touch BOOLEAN, IN p_now DATETIME(6))
  MODIFIES SQL DATA SQL SECURITY INVOKER
  COMMENT 'Settles one report and returns the next command: outcome, queue id, command id, uuid, request type, kind, body, renderer, parameters'
BEGIN
  DECLARE v_queue, v_command, v_next BIGINT UNSIGNED DEFAULT NULL;
  DECLARE v_request_type VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL;
  DECLARE v_enqueued DATETIME(6) DEFAULT NULL;
  DECLARE v_not_now INT UNSIGNED DEFAULT 0;
  DECLARE v_renderer VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL;
  DECLARE v_outcome VARCHAR(16) DEFAULT 'unknown';
  -- A CommandUUID that was never ours finds no row.
  DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN END;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  -- In two steps: only this device's delivery is locked, never the command that a whole fleet shares.
  SELECT id, renderer, request_type INTO v_command, v_renderer, v_request_type FROM commands WHERE uuid = p_uuid;
  IF v_command IS NOT NULL THEN
    SELECT id, enqueued_at, not_now_count INTO v_queue, v_enqueued, v_not_now
      FROM queue WHERE enrollment_id = p_enrollment AND command_id = v_command FOR UPDATE;
  END IF;
  IF v_queue IS NULL THEN
    -- Settled before (sent again by the device or by nginx), or never ours: recorded once, answered the same way. A cancelled one is looked for below.
    BEGIN
      DECLARE CONTINUE HANDLER FOR 1062 SET v_outcome = 'repeated';
      INSERT INTO results (enrollment_id, command_uuid, status, body, received_at)
        VALUES (p_enrollment, p_uuid, p_status, p_body, p_now);
    END;
    IF v_outcome = 'unknown' THEN
      INSERT INTO events (at, what, who, external_id, enrollment_id, command_uuid, detail)
        VALUES (p_now, 'command.unknown', 'device', p_external_id, p_enrollment, p_uuid, p_detail);
    ELSEIF p_status = 'NotNow' THEN
      -- Cancelled, and not carried out: it is not offered again, so this is the device's last word.
      UPDATE results SET not_now_count = not_now_count + 1
        WHERE enrollment_id = p_enrollment AND command_uuid = p_uuid AND status = 'cancelled';
      IF ROW_COUNT() > 0 THEN SET v_outcome = 'cancelled'; END IF;
    ELSE
      -- Cancelled while the device had it.
      UPDATE results SET status = p_status, body = p_body, received_at = p_now
        WHERE enrollment_id = p_enrollment AND command_uuid = p_uuid AND status = 'cancelled';
      IF ROW_COUNT() > 0 THEN
        SET v_outcome = 'late';
        INSERT INTO events (at, what, who, external_id, enrollment_id, command_uuid, detail)
          VALUES (p_now, p_what, 'device', p_external_id, p_enrollment, p_uuid,
                  CONCAT('answered after it was cancelled', IF(p_detail = '', '', ': '), p_detail));
      END IF;
    END IF;
  ELSEIF p_status = 'NotNow' THEN
    UPDATE queue SET state = IF(state = 'held', 'held', 'not-now'), not_now_count = not_now_count + 1, not_now_at = p_now
      WHERE id = v_queue;
    SET v_outcome = 'not-now';
  ELSE
    INSERT INTO results (enrollment_id, command_uuid, command_id, request_type, status, body, enqueued_at, not_now_count, received_at)
      VALUES (p_enrollment, p_uuid, v_command, v_request_type, p_status, p_body, v_enqueued, v_not_now, p_now)
      ON DUPLICATE KEY UPDATE command_id = VALUES(command_id), request_type = VALUES(request_type), status = VALUES(status),
        body = VALUES(body), enqueued_at = VALUES(enqueued_at), not_now_count = VALUES(not_now_count),
        received_at = VALUES(received_at);
    DELETE FROM queue WHERE id = v_queue;
    INSERT INTO events (at, what, who, external_id, enrollment_id, command_uuid, detail)
      VALUES (p_now, p_what, 'device', p_external_id, p_enrollment, p_uuid, p_detail);
    SET v_outcome = 'settled';
  END IF;
  IF p_touch THEN
    UPDATE enrollments SET last_seen_at = p_now WHERE id = p_enrollment;
  END IF;
  -- After the enrolment, as where a generation ends: locks are taken in one order.
  IF v_outcome = 'settled' AND v_renderer = 'renew' THEN
    UPDATE tickets SET state = 'closed' WHERE enrollment_id = p_enrollment AND purpose = 'renew' AND state = 'open';
  END IF;
  COMMIT;
  -- One table at a time, each row found before a plan is made: a join is planned anew in every call.
  SELECT id, command_id INTO v_next, v_command FROM queue FORCE INDEX (next_command)
    WHERE enrollment_id = p_enrollment AND state = 'queued' ORDER BY priority, enqueued_at, id LIMIT 1;
  IF v_next IS NULL THEN
    SELECT v_outcome, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;
  ELSE
    SELECT v_outcome, v_next, id, uuid, request_type, kind, body, renderer, parameters FROM commands WHERE id = v_command;
  END IF;
END
