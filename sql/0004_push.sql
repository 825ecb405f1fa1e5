-- Migration 4: pushes that are repeated while commands wait, and due pushes by topic.
-- oldest-code: 1

-- step: push_state.topic
ALTER TABLE push_state ADD COLUMN IF NOT EXISTS topic VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL
  COMMENT 'as the enrolment has it, for the index; NULL: pomona-push fills it in';

-- step: push_state.unanswered
ALTER TABLE push_state ADD COLUMN IF NOT EXISTS unanswered INT UNSIGNED NOT NULL DEFAULT 0
  COMMENT 'pushes in a row that APNs took and after which commands still waited; above 0, due_at is a repetition';

-- step: push_state.doubted_since
ALTER TABLE push_state ADD COLUMN IF NOT EXISTS doubted_since DATETIME(6) NULL
  COMMENT 'APNs called the token bad while it took nothing else of the topic; believed once it takes something';

-- step: push_state key due_topic
ALTER TABLE push_state ADD KEY IF NOT EXISTS due_topic (due_at, topic), DROP KEY IF EXISTS due_at;
