"""Every program's database user may do what docs/architecture.md says, and nothing else: each right is tried."""
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from bench import Bench  # noqa: E402

# S select, I insert, U update, D delete. What is not named here must be refused.
ALLOWED = {
    "pomona-mdm": "devices SIU, enrollments SIU, profiles SIU, queue SUD, commands S, results SIU, messages I, events I, "
                  "event_deliveries I, certificates_device SU, certificates_ca S, certificates_public S, tickets SIU, push_state SIU, "
                  "escrow SIUD, secrets_escrow SIUD, secrets_dep S, schema_migrations S",
    "pomona-scep": "tickets SU, certificates_device SIU, certificates_ca S, certificates_public S, enrollments S, devices S, "
                   "events I, event_deliveries I, secrets_ca S, schema_migrations S",
    "pomona-enroll": "tickets SIU, profiles SIU, certificates_public S, enrollments S, devices S, events I, event_deliveries I, "
                     "secrets_signing S, schema_migrations S",
    "pomona-api": "devices S, enrollments SU, commands SI, queue SIUD, results SIU, events SI, event_deliveries I, tickets SIU, "
                  "profiles S, push_state SIU, certificates_public S, certificates_device S, api_keys S, schema_migrations S",
    "pomona-admin": "devices SIU, enrollments SIU, commands SI, queue SIUD, results SIU, events SI, event_deliveries I, "
                    "tickets SIU, profiles S, push_state SIU, certificates_public S, certificates_device S, api_keys S, "
                    "certificates_push SIU, secrets_push SI, secrets_dep SI, secrets_escrow SI, escrow SI, schema_migrations S",
    "pomona-push": "enrollments SU, queue S, push_state SIU, leases SIUD, events I, event_deliveries I, certificates_push S, "
                   "secrets_push S, schema_migrations S",
    "pomona-dep-sync": "leases SIUD, events I, event_deliveries I, secrets_dep S, schema_migrations S",
    "pomona-webhook": "events S, event_deliveries SUD, messages S, enrollments S, leases SIUD, schema_migrations S",
    "pomona-ca": "certificates_ca SIU, certificates_device SU, secrets_ca SI, leases SIUD, events I, event_deliveries I, "
                 "schema_migrations S",
    "pomona-maintain": "devices S, enrollments S, profiles S, certificates_public S, certificates_device S, commands SI, "
                       "queue SI, push_state S, push_topics S, tickets S, messages SD, leases SIUD, events I, event_deliveries I, "
                       "expiry_notices SIU, schema_migrations S",
}
# Some columns only; anything that names another one is refused.
COLUMNS_ONLY = {("pomona-maintain", "messages"): ("id", "body")}
DENIED = re.compile(r"ERROR (1142|1143|1370|1044|1227) ")


def rights(text):
    """Text of ALLOWED as {(table, letter)}."""
    pairs = [entry.split() for entry in text.split(",")]
    return {(table, letter) for table, letters in pairs for letter in letters}


class Grants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.addClassCleanup(cls.bench.close)
        cls.columns = {}
        for line in cls.bench.sql("SELECT table_name, column_name, data_type FROM information_schema.columns "
                                  "WHERE table_schema = 'pomona' ORDER BY ordinal_position").splitlines():
            table, column, kind = line.split("\t")
            cls.columns.setdefault(table, []).append(column)

    def run_as(self, user, statements):
        """Tries all in one connection; returns those that the server would not let this user do."""
        argv = ["mariadb", "--no-defaults", "-u", user, f"-p{self.bench.db.password(user)}", "-S", self.bench.db.socket,
                "--force", "--batch", "pomona"]
        run = subprocess.run(argv, input="\n".join(f"{s};" for s in statements) + "\n", capture_output=True, text=True)
        denied = {int(re.search(r"at line (\d+)", line)[1]) - 1 for line in run.stderr.splitlines() if DENIED.match(line)}
        return [number in denied for number in range(len(statements))]

    def statement(self, table, letter):
        """Needs this right alone and changes nothing."""
        column = self.columns[table][0]
        return {"S": f"SELECT 1 FROM {table} LIMIT 0", "D": f"DELETE FROM {table} WHERE FALSE",
                "U": f"UPDATE {table} SET {column} = 1 WHERE FALSE",
                "I": f"INSERT INTO {table} ({column}) SELECT 1 FROM DUAL WHERE FALSE"}[letter]

    def test_the_table_here_names_every_user_and_only_what_exists(self):
        users = self.bench.sql("SELECT user FROM mysql.user WHERE user LIKE 'pomona-%'").split()
        self.assertEqual(set(users), set(ALLOWED))
        for user, text in ALLOWED.items():
            self.assertLessEqual({table for table, _ in rights(text)}, set(self.columns), user)

    def test_each_user_may_do_what_it_needs_and_is_refused_all_else(self):
        tries = [(table, letter) for table in self.columns for letter in "SIUD"]
        for user, text in ALLOWED.items():
            denied = self.run_as(user, [self.statement(*one) for one in tries])
            done = {one for one, refused in zip(tries, denied) if not refused}
            with self.subTest(user):
                self.assertEqual(sorted(done - rights(text)), [], "may do more than it should")
                self.assertEqual(sorted(rights(text) - done), [], "may not do what it needs")

    def test_where_only_columns_are_granted_the_others_are_refused(self):
        for (user, table), (granted, withheld) in COLUMNS_ONLY.items():
            self.assertEqual(self.run_as(user, [f"SELECT {granted} FROM {table}", f"SELECT {withheld} FROM {table}"]),
                             [False, True])

    def test_no_program_may_change_the_schema_users_or_grants(self):
        statements = ["CREATE TABLE x (a INT)", "DROP TABLE events", "ALTER TABLE devices ADD COLUMN x INT", "TRUNCATE TABLE events",
                      "CREATE OR REPLACE VIEW secrets_ca AS SELECT * FROM secrets", "CREATE USER x@localhost",
                      "GRANT SELECT ON secrets TO 'pomona-mdm'@localhost", "SELECT * FROM mysql.global_priv",
                      "SELECT LOAD_FILE('/etc/passwd') INTO OUTFILE '/tmp/x'"]
        for user in ALLOWED:
            with self.subTest(user):
                may = [s for s, refused in zip(statements, self.run_as(user, statements)) if not refused]
                # LOAD_FILE without the FILE right gives NULL; INTO OUTFILE needs it and is refused with 1045.
                self.assertLessEqual(set(may), {statements[-1]})
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM mysql.global_priv WHERE user LIKE 'pomona-%' AND "
                                        "JSON_VALUE(priv, '$.access') & 512").strip(), "0")

    def test_only_pomona_mdm_may_run_the_procedure_of_reports(self):
        call = "CALL settle_report(0, 'x', 'Acknowledged', NULL, 'x', 'x', '', FALSE, '2027-01-01')"
        for user in ALLOWED:
            with self.subTest(user):
                self.assertEqual(self.run_as(user, [call]), [user != "pomona-mdm"])

    def test_a_view_takes_no_row_of_another_domain(self):
        row = "(id, domain, purpose, key_id, nonce, body, created_at) VALUES (REPEAT('a', 16), '{}', 'x', 'x', 'x', 'x', NOW())"
        for user, view, own, other in (("pomona-mdm", "secrets_escrow", "escrow", "ca"), ("pomona-ca", "secrets_ca", "ca", "push"),
                                       ("pomona-admin", "secrets_push", "push", "ca")):
            with self.subTest(user):
                for domain, accepted in ((other, False), (own, True)):
                    code, output = self.bench.db.as_user(user, f"INSERT INTO {view} " + row.format(domain))
                    self.assertEqual(code == 0, accepted, output)
                    if not accepted:
                        self.assertIn("1369", output)
                if user == "pomona-mdm":
                    self.assertIn("1369", self.bench.db.as_user(user, f"UPDATE {view} SET domain = '{other}'")[1])
                self.bench.sql("DELETE FROM secrets")

    def test_a_view_shows_no_row_of_another_domain_or_kind(self):
        self.bench.sql("INSERT INTO secrets VALUES (REPEAT('b', 16), 'push', 'x', 'x', 'x', 'x', NOW()), "
                       "(REPEAT('c', 16), 'escrow', 'x', 'x', 'x', 'x', NOW())")
        self.addCleanup(self.bench.sql, "DELETE FROM secrets; DELETE FROM certificates")
        for kind in ("identity", "ca", "push", "dep-token"):
            self.bench.sql(f"INSERT INTO certificates (kind, status, serial, subject, issuer, spki_sha256, not_before, not_after, "
                           f"created_at) VALUES ('{kind}', 'pending', '1', 's', 'i', 'h', NOW(), NOW(), NOW())")
        for user, query, shown in (("pomona-push", "SELECT domain FROM secrets_push", "push"),
                                   ("pomona-mdm", "SELECT domain FROM secrets_escrow", "escrow"),
                                   ("pomona-scep", "SELECT kind FROM certificates_device", "identity"),
                                   ("pomona-scep", "SELECT kind FROM certificates_ca", "ca"),
                                   ("pomona-enroll", "SELECT kind FROM certificates_public WHERE kind = 'identity'", "")):
            with self.subTest(user=user, query=query):
                self.assertEqual(self.bench.db.as_user(user, query), (0, shown + "\n" if shown else ""))

    def test_public_certificates_hide_which_secret_holds_the_key(self):
        for column in ("secret_id", "tbs", "spki_sha256"):
            code, output = self.bench.db.as_user("pomona-enroll", f"SELECT {column} FROM certificates_public")
            self.assertNotEqual(code, 0)
            self.assertIn("1054", output)

    def test_grants_can_be_applied_again(self):
        before = self.bench.sql("SHOW GRANTS FOR 'pomona-mdm'@localhost")
        self.bench.checked("db", "migrate")
        self.assertEqual(self.bench.sql("SHOW GRANTS FOR 'pomona-mdm'@localhost"), before)


if __name__ == "__main__":
    unittest.main()
