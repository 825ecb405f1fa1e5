-- Who may do what: one MariaDB user per program, the table of docs/architecture.md section 2 in SQL.
-- Applied by `pomona db migrate` after the migrations; a statement a line-block, each safe to repeat. Users that exist keep the way they log in;
-- new ones are identified by the kernel (unix_socket): only the Unix user of the same name may be them.
-- A right that is missing here makes a test fail, because the private stack runs under these users too.

-- pomona-mdm: Device requests. Never sees a private key of ours; escrow only its own domain.
-- step: user pomona-mdm
CREATE USER IF NOT EXISTS 'pomona-mdm'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-mdm PROCEDURE settle_report
GRANT EXECUTE ON PROCEDURE settle_report TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm devices
GRANT SELECT, INSERT, UPDATE ON devices TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm enrollments
GRANT SELECT, INSERT, UPDATE ON enrollments TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm profiles
GRANT SELECT, INSERT, UPDATE ON profiles TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm queue
GRANT SELECT, UPDATE, DELETE ON queue TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm commands
GRANT SELECT ON commands TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm results
GRANT SELECT, INSERT, UPDATE ON results TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm messages
GRANT INSERT ON messages TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm events
GRANT INSERT ON events TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm event_deliveries
GRANT INSERT ON event_deliveries TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm certificates_device
GRANT SELECT, UPDATE ON certificates_device TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm certificates_ca
GRANT SELECT ON certificates_ca TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm certificates_public
GRANT SELECT ON certificates_public TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm tickets
GRANT SELECT, INSERT, UPDATE ON tickets TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm push_state
GRANT SELECT, INSERT, UPDATE ON push_state TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm escrow
GRANT SELECT, INSERT, UPDATE, DELETE ON escrow TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm secrets_escrow
GRANT SELECT, INSERT, UPDATE, DELETE ON secrets_escrow TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm secrets_dep
GRANT SELECT ON secrets_dep TO 'pomona-mdm'@'localhost';
-- step: pomona-mdm schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-mdm'@'localhost';

-- pomona-scep: Issues identities: the only network program that may read the CA's sealed keys.
-- step: user pomona-scep
CREATE USER IF NOT EXISTS 'pomona-scep'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-scep tickets
GRANT SELECT, UPDATE ON tickets TO 'pomona-scep'@'localhost';
-- step: pomona-scep certificates_device
GRANT SELECT, INSERT, UPDATE ON certificates_device TO 'pomona-scep'@'localhost';
-- step: pomona-scep certificates_ca
GRANT SELECT ON certificates_ca TO 'pomona-scep'@'localhost';
-- step: pomona-scep certificates_public
GRANT SELECT ON certificates_public TO 'pomona-scep'@'localhost';
-- step: pomona-scep enrollments
GRANT SELECT ON enrollments TO 'pomona-scep'@'localhost';
-- step: pomona-scep devices
GRANT SELECT ON devices TO 'pomona-scep'@'localhost';
-- step: pomona-scep events
GRANT INSERT ON events TO 'pomona-scep'@'localhost';
-- step: pomona-scep event_deliveries
GRANT INSERT ON event_deliveries TO 'pomona-scep'@'localhost';
-- step: pomona-scep secrets_ca
GRANT SELECT ON secrets_ca TO 'pomona-scep'@'localhost';
-- step: pomona-scep schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-scep'@'localhost';

-- pomona-enroll: Renders enrolment profiles; public halves of certificates only.
-- step: user pomona-enroll
CREATE USER IF NOT EXISTS 'pomona-enroll'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-enroll tickets
GRANT SELECT, INSERT, UPDATE ON tickets TO 'pomona-enroll'@'localhost';
-- step: pomona-enroll profiles
GRANT SELECT, INSERT, UPDATE ON profiles TO 'pomona-enroll'@'localhost';
-- step: pomona-enroll certificates_public
GRANT SELECT ON certificates_public TO 'pomona-enroll'@'localhost';
-- step: pomona-enroll enrollments
GRANT SELECT ON enrollments TO 'pomona-enroll'@'localhost';
-- step: pomona-enroll devices
GRANT SELECT ON devices TO 'pomona-enroll'@'localhost';
-- step: pomona-enroll events
GRANT INSERT ON events TO 'pomona-enroll'@'localhost';
-- step: pomona-enroll event_deliveries
GRANT INSERT ON event_deliveries TO 'pomona-enroll'@'localhost';
-- step: pomona-enroll secrets_signing
GRANT SELECT ON secrets_signing TO 'pomona-enroll'@'localhost';
-- step: pomona-enroll schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-enroll'@'localhost';

-- pomona-api: Admin API, everyday half.
-- step: user pomona-api
CREATE USER IF NOT EXISTS 'pomona-api'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-api devices
GRANT SELECT ON devices TO 'pomona-api'@'localhost';
-- step: pomona-api enrollments
GRANT SELECT, UPDATE ON enrollments TO 'pomona-api'@'localhost';
-- step: pomona-api commands
GRANT SELECT, INSERT ON commands TO 'pomona-api'@'localhost';
-- step: pomona-api queue
GRANT SELECT, INSERT, UPDATE, DELETE ON queue TO 'pomona-api'@'localhost';
-- step: pomona-api results
GRANT SELECT, INSERT, UPDATE ON results TO 'pomona-api'@'localhost';
-- step: pomona-api events
GRANT SELECT, INSERT ON events TO 'pomona-api'@'localhost';
-- step: pomona-api event_deliveries
GRANT INSERT ON event_deliveries TO 'pomona-api'@'localhost';
-- step: pomona-api tickets
GRANT SELECT, INSERT, UPDATE ON tickets TO 'pomona-api'@'localhost';
-- step: pomona-api profiles
GRANT SELECT ON profiles TO 'pomona-api'@'localhost';
-- step: pomona-api push_state
GRANT SELECT, INSERT, UPDATE ON push_state TO 'pomona-api'@'localhost';
-- step: pomona-api certificates_public
GRANT SELECT ON certificates_public TO 'pomona-api'@'localhost';
-- step: pomona-api certificates_device
GRANT SELECT ON certificates_device TO 'pomona-api'@'localhost';
-- step: pomona-api api_keys
GRANT SELECT ON api_keys TO 'pomona-api'@'localhost';
-- step: pomona-api schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-api'@'localhost';

-- pomona-admin: pomona-api --role admin, on its own socket: the calls that import keys and tokens.
-- step: user pomona-admin
CREATE USER IF NOT EXISTS 'pomona-admin'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-admin devices
GRANT SELECT ON devices TO 'pomona-admin'@'localhost';
-- step: pomona-admin enrollments
GRANT SELECT, UPDATE ON enrollments TO 'pomona-admin'@'localhost';
-- step: pomona-admin commands
GRANT SELECT, INSERT ON commands TO 'pomona-admin'@'localhost';
-- step: pomona-admin queue
GRANT SELECT, INSERT, UPDATE, DELETE ON queue TO 'pomona-admin'@'localhost';
-- step: pomona-admin results
GRANT SELECT, INSERT, UPDATE ON results TO 'pomona-admin'@'localhost';
-- step: pomona-admin events
GRANT SELECT, INSERT ON events TO 'pomona-admin'@'localhost';
-- step: pomona-admin event_deliveries
GRANT INSERT ON event_deliveries TO 'pomona-admin'@'localhost';
-- step: pomona-admin tickets
GRANT SELECT, INSERT, UPDATE ON tickets TO 'pomona-admin'@'localhost';
-- step: pomona-admin profiles
GRANT SELECT ON profiles TO 'pomona-admin'@'localhost';
-- step: pomona-admin push_state
GRANT SELECT, INSERT, UPDATE ON push_state TO 'pomona-admin'@'localhost';
-- step: pomona-admin certificates_public
GRANT SELECT ON certificates_public TO 'pomona-admin'@'localhost';
-- step: pomona-admin certificates_device
GRANT SELECT ON certificates_device TO 'pomona-admin'@'localhost';
-- step: pomona-admin api_keys
GRANT SELECT ON api_keys TO 'pomona-admin'@'localhost';
-- step: pomona-admin certificates_push
GRANT SELECT, INSERT, UPDATE ON certificates_push TO 'pomona-admin'@'localhost';
-- step: pomona-admin secrets_push
GRANT SELECT, INSERT ON secrets_push TO 'pomona-admin'@'localhost';
-- step: pomona-admin secrets_dep
GRANT SELECT, INSERT ON secrets_dep TO 'pomona-admin'@'localhost';
-- step: pomona-admin secrets_escrow
GRANT SELECT, INSERT ON secrets_escrow TO 'pomona-admin'@'localhost';
-- step: pomona-admin devices
GRANT SELECT, INSERT, UPDATE ON devices TO 'pomona-admin'@'localhost';
-- step: pomona-admin enrollments
GRANT INSERT ON enrollments TO 'pomona-admin'@'localhost';
-- step: pomona-admin escrow
GRANT SELECT, INSERT ON escrow TO 'pomona-admin'@'localhost';
-- step: pomona-admin schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-admin'@'localhost';

-- pomona-push: Pushes to APNs.
-- step: user pomona-push
CREATE USER IF NOT EXISTS 'pomona-push'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-push enrollments
GRANT SELECT, UPDATE ON enrollments TO 'pomona-push'@'localhost';
-- step: pomona-push queue
GRANT SELECT ON queue TO 'pomona-push'@'localhost';
-- step: pomona-push push_state
GRANT SELECT, INSERT, UPDATE ON push_state TO 'pomona-push'@'localhost';
-- step: pomona-push leases
GRANT SELECT, INSERT, UPDATE, DELETE ON leases TO 'pomona-push'@'localhost';
-- step: pomona-push events
GRANT INSERT ON events TO 'pomona-push'@'localhost';
-- step: pomona-push event_deliveries
GRANT INSERT ON event_deliveries TO 'pomona-push'@'localhost';
-- step: pomona-push certificates_push
GRANT SELECT ON certificates_push TO 'pomona-push'@'localhost';
-- step: pomona-push secrets_push
GRANT SELECT ON secrets_push TO 'pomona-push'@'localhost';
-- step: pomona-push schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-push'@'localhost';

-- pomona-dep-sync: Talks to Apple's device enrolment service.
-- step: user pomona-dep-sync
CREATE USER IF NOT EXISTS 'pomona-dep-sync'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-dep-sync leases
GRANT SELECT, INSERT, UPDATE, DELETE ON leases TO 'pomona-dep-sync'@'localhost';
-- step: pomona-dep-sync events
GRANT INSERT ON events TO 'pomona-dep-sync'@'localhost';
-- step: pomona-dep-sync event_deliveries
GRANT INSERT ON event_deliveries TO 'pomona-dep-sync'@'localhost';
-- step: pomona-dep-sync secrets_dep
GRANT SELECT ON secrets_dep TO 'pomona-dep-sync'@'localhost';
-- step: pomona-dep-sync schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-dep-sync'@'localhost';

-- pomona-webhook: Delivers events.
-- step: user pomona-webhook
CREATE USER IF NOT EXISTS 'pomona-webhook'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-webhook events
GRANT SELECT ON events TO 'pomona-webhook'@'localhost';
-- step: pomona-webhook event_deliveries
GRANT SELECT, UPDATE, DELETE ON event_deliveries TO 'pomona-webhook'@'localhost';
-- step: pomona-webhook messages
GRANT SELECT ON messages TO 'pomona-webhook'@'localhost';
-- step: pomona-webhook enrollments
GRANT SELECT ON enrollments TO 'pomona-webhook'@'localhost';
-- step: pomona-webhook leases
GRANT SELECT, INSERT, UPDATE, DELETE ON leases TO 'pomona-webhook'@'localhost';
-- step: pomona-webhook schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-webhook'@'localhost';

-- pomona-ca: CRL and RA upkeep; no socket.
-- step: user pomona-ca
CREATE USER IF NOT EXISTS 'pomona-ca'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-ca certificates_ca
GRANT SELECT, INSERT, UPDATE ON certificates_ca TO 'pomona-ca'@'localhost';
-- step: pomona-ca certificates_device
GRANT SELECT, UPDATE ON certificates_device TO 'pomona-ca'@'localhost';
-- step: pomona-ca secrets_ca
GRANT SELECT, INSERT ON secrets_ca TO 'pomona-ca'@'localhost';
-- step: pomona-ca leases
GRANT SELECT, INSERT, UPDATE, DELETE ON leases TO 'pomona-ca'@'localhost';
-- step: pomona-ca events
GRANT INSERT ON events TO 'pomona-ca'@'localhost';
-- step: pomona-ca event_deliveries
GRANT INSERT ON event_deliveries TO 'pomona-ca'@'localhost';
-- step: pomona-ca schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-ca'@'localhost';

-- pomona-maintain: Watches expiry, renews, prunes; holds no key and reads no sealed body.
-- step: user pomona-maintain
CREATE USER IF NOT EXISTS 'pomona-maintain'@'localhost' IDENTIFIED VIA unix_socket;
-- step: pomona-maintain devices
GRANT SELECT ON devices TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain enrollments
GRANT SELECT ON enrollments TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain profiles
GRANT SELECT ON profiles TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain certificates_public
GRANT SELECT ON certificates_public TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain push_topics
GRANT SELECT ON push_topics TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain certificates_device
GRANT SELECT ON certificates_device TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain commands
GRANT SELECT, INSERT ON commands TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain queue
GRANT SELECT, INSERT ON queue TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain push_state
GRANT SELECT ON push_state TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain tickets
GRANT SELECT ON tickets TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain messages
GRANT SELECT (id, enrollment_id, type, received_at), DELETE ON messages TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain leases
GRANT SELECT, INSERT, UPDATE, DELETE ON leases TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain events
GRANT INSERT ON events TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain event_deliveries
GRANT INSERT ON event_deliveries TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain expiry_notices
GRANT SELECT, INSERT, UPDATE ON expiry_notices TO 'pomona-maintain'@'localhost';
-- step: pomona-maintain schema_migrations
GRANT SELECT ON schema_migrations TO 'pomona-maintain'@'localhost';
