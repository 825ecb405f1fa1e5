"""Tests of push certificate requests: one bench with the APNs stand-in and Apple's portals."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import apple_portal  # noqa: E402
from push_bench import ApnsCase  # noqa: E402

EMAIL = "mdm@example.org"


class PortalCase(ApnsCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.apple = apple_portal.Portal(cls.bench.folder, cls.push_ca)
        cls.bench.write_conf(apple_chain_file=cls.apple.chain_file)

    def setUp(self):
        super().setUp()
        self.forget_certificates()

    def file(self, name, data=None):
        path = self.bench.folder / name
        if data is not None:
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def make_vendor(self, **options):
        csr = self.file("vendor.csr")
        self.bench.checked("push-cert", "vendor-request", "--email", EMAIL, "--org", "Example", "--country", "DE", "--out", csr)
        cer = self.file("mdm.cer", self.apple.vendor_certificate(csr.read_text(), **options))
        done = self.bench.json("push-cert", "import", cer)
        self.assertEqual((done["kind"], done["changed"]), ("vendor", True))
        return done

    def make_request(self, name="push"):
        """A request signed by our vendor certificate: the path of the finished file."""
        csr, signed = self.file(f"{name}.csr"), self.file(f"{name}.plist.b64")
        self.bench.checked("push-cert", "request", "--email", EMAIL, "--out", csr)
        self.bench.checked("push-cert", "sign", csr, "--out", signed)
        return signed

    def refused(self, *arguments, exit=1, clock=0):
        done = self.bench.pomona("push-cert", *arguments, clock=clock)
        self.assertEqual(done.returncode, exit, done.stdout + done.stderr)
        return done.stdout + done.stderr
