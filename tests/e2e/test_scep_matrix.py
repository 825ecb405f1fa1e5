"""SCEP clients of the field against every kind of device CA; docs/certificates.md shows what this run saw.

POMONA_WRITE_MATRIX=1 writes the table into the page instead of comparing it.
"""
# time limit: 600
import os
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import scep_matrix  # noqa: E402
from scep_matrix import APPLE_I, APPLE_M, CERTMONGER, GO, ROWS, SSCEP, SWAN, YES, Matrix  # noqa: E402


class ScepMatrix(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="pomona-matrix-")
        cls.addClassCleanup(holder.cleanup)
        cls.matrix = Matrix(Path(holder.name))
        cls.addClassCleanup(cls.matrix.close)
        cls.matrix.run()

    def as_wanted(self, *clients):
        for row in ROWS:
            for kind in self.matrix.kinds if row.client in clients else ():
                with self.subTest(client=row.client, operation=row.operation, ca=kind):
                    self.assertEqual(self.matrix.cells[row, kind], row.expected(kind), self.matrix.transcripts[row, kind])

    def test_apples_client_gets_its_identity_from_every_ca_and_renews_it_by_profile(self):
        self.as_wanted(APPLE_I, APPLE_M)

    def test_strongswan_enrols_renews_and_shows_why_it_was_refused(self):
        self.as_wanted(SWAN)

    def test_certmonger_enrols_rekeys_and_is_told_of_a_wrong_challenge(self):
        self.as_wanted(CERTMONGER)

    def test_the_go_client_is_served_over_tls_only_and_only_where_des_is_allowed(self):
        self.as_wanted(GO)

    def test_sscep_enrols_by_get_and_post_and_renews_with_its_old_certificate(self):
        self.as_wanted(SSCEP)

    def test_no_program_was_hurt_and_no_challenge_is_in_a_log(self):
        for kind, visit in self.matrix.visits.items():
            log = self.matrix.log(kind)
            for word in ("Sanitizer", "runtime error", "fault=internal", *(t.challenge for t in visit.tickets.values())):
                self.assertNotIn(word, log, kind)

    def test_the_page_shows_what_this_run_saw(self):
        table = self.matrix.table()
        if os.environ.get("POMONA_WRITE_MATRIX"):
            scep_matrix.show(table)
        self.assertEqual(scep_matrix.shown(), table, "POMONA_WRITE_MATRIX=1 tests/rig/run_one.py ... writes it")
        self.assertIn(YES, table)


if __name__ == "__main__":
    unittest.main()
