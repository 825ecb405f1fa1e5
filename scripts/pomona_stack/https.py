"""The HTTPS certificate of the private stack, made with openssl: a private CA and a leaf for 127.0.0.1 and localhost."""
import subprocess

CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {common_name}
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1
"""
# Apple's limit for a server certificate of a private CA is 825 days, for others 398.
LEAF_DAYS = 397
RENEW_SECONDS = 30 * 86400


def openssl(*arguments):
    run = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]} failed:\n{run.stderr}")


def make_key(path):
    path.touch(mode=0o600)
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def make_ca(folder):
    config = folder / "ca.cnf"
    config.write_text(CONFIG.format(common_name="Pomona private stack HTTPS CA"))
    make_key(folder / "ca.key")
    openssl("req", "-x509", "-new", "-key", folder / "ca.key", "-config", config, "-extensions", "ca", "-sha256",
            "-days", 3650, "-out", folder / "ca.pem.new")
    (folder / "ca.pem.new").rename(folder / "ca.pem")


def make_leaf(folder):
    config = folder / "server.cnf"
    config.write_text(CONFIG.format(common_name="localhost"))
    make_key(folder / "server.key")
    openssl("req", "-new", "-key", folder / "server.key", "-config", config, "-out", folder / "server.csr")
    openssl("x509", "-req", "-in", folder / "server.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
            "-CAcreateserial", "-extfile", config, "-extensions", "server", "-sha256", "-days", LEAF_DAYS,
            "-out", folder / "server.pem.new")
    (folder / "server.pem.new").rename(folder / "server.pem")


def is_fresh(path):
    return path.exists() and subprocess.run(["openssl", "x509", "-in", path, "-noout", "-checkend", str(RENEW_SECONDS)],
                                            capture_output=True).returncode == 0


def ensure(folder):
    if not (folder / "ca.pem").exists():
        make_ca(folder)
    if not is_fresh(folder / "server.pem"):
        make_leaf(folder)
