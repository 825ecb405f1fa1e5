"""The stack's nginx: a frame of its own around the very snippets that a production site includes.

Files FOLDER/local/{http,tls,plain}*.conf, if there are any, are included in the http block and in the two servers.
"""
import os
from dataclasses import dataclass
from pathlib import Path

# What a site makes for itself; everything else in nginx/ is linked.
SITE_FILES = {"pomona-upstreams.conf", "example-site.conf"}

FRAME = """\
# Written by scripts/stack; the next `up` writes it again.
{user}daemon off;
worker_processes 2;
pid "{folder}/nginx.pid";
error_log "{logs}/nginx-error.log" {level};
events {{ worker_connections 1000; }}

http {{
    default_type          application/octet-stream;
    client_body_temp_path "{folder}/tmp/body";
    fastcgi_temp_path     "{folder}/tmp/fastcgi";
    proxy_temp_path       "{folder}/tmp/proxy";
    uwsgi_temp_path       "{folder}/tmp/uwsgi";
    scgi_temp_path        "{folder}/tmp/scgi";
    access_log            "{logs}/nginx-access.log";

    include snippets/pomona-http.conf;
    include snippets/pomona-upstreams.conf;
    include "{folder}/local/http*.conf";
{extra}
    server {{
        listen      127.0.0.1:{https_port} ssl{listen_options};
        server_name localhost;

        ssl_certificate        "{certificate}";
        ssl_certificate_key    "{key}";
        ssl_client_certificate "{device_cas}";
        include snippets/pomona-tls.conf;

        access_log "{logs}/nginx-access.log" pomona;

        include snippets/pomona-devices.conf;
        include "{folder}/local/tls*.conf";
        location / {{ return 404; }}
    }}

    server {{
        listen      127.0.0.1:{http_port};
        server_name localhost;

        access_log "{logs}/nginx-access.log" pomona;

        set $pomona_acme_root "{acme_root}";
        include snippets/pomona-plain.conf;
        include "{folder}/local/plain*.conf";
        location / {{ return 404; }}
    }}
}}
"""


@dataclass
class Site:
    folder: Path            # nginx's prefix: nginx.conf, snippets/, tmp/
    snippets: Path          # the nginx/ folder of the source tree or of an installation
    logs: Path
    https_port: int
    http_port: int
    sockets: dict           # upstream name without pomona_ -> list of socket paths
    certificate: Path
    key: Path
    device_cas: Path
    gate: str
    acme_root: Path
    level: str = "warn"
    listen_options: str = ""
    extra: str = ""


def upstreams(sockets):
    """One upstream for each program; several sockets are several handlers."""
    text = "# Written by scripts/stack.\n"
    for name, paths in sockets.items():
        servers = " ".join(f'server "unix:{path}" max_fails=0;' for path in paths)
        text += f"upstream pomona_{name} {{ {servers} }}\n"
    return text


def write_private(path, text):
    """A file with a secret, never readable by others, replaced in one step."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    new.rename(path)


def link_snippets(source, target):
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("pomona-*.conf"):
        if old.is_symlink():
            old.unlink()
    for snippet in sorted(source.glob("pomona-*.conf")):
        if snippet.name not in SITE_FILES:
            (target / snippet.name).symlink_to(snippet.resolve())


def write(site):
    """Writes the whole configuration; says nothing about whether nginx runs."""
    for part in ("body", "fastcgi", "proxy", "uwsgi", "scgi"):
        (site.folder / "tmp" / part).mkdir(parents=True, exist_ok=True)
    site.acme_root.mkdir(parents=True, exist_ok=True)
    snippets = site.folder / "snippets"
    link_snippets(site.snippets, snippets)
    (snippets / "pomona-upstreams.conf").write_text(upstreams(site.sockets))
    write_private(snippets / "pomona-gate.conf", f'fastcgi_param POMONA_GATE "{site.gate}";\n')
    # As root the workers stay root: the stack's folder is closed to everybody else.
    user = "user root root;\n" if os.geteuid() == 0 else ""
    values = {key: getattr(site, key) for key in site.__dataclass_fields__}
    (site.folder / "nginx.conf").write_text(FRAME.format(user=user, **values))


def argv(site):
    return ["nginx", "-p", f"{site.folder}/", "-c", f"{site.folder}/nginx.conf", "-e", f"{site.logs}/nginx-error.log"]
