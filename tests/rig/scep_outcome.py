"""What a SCEP client came home with: a certificate and its key, or the failure as that client shows it."""
import dataclasses
from pathlib import Path

FAIL_INFO = ("badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId")


@dataclasses.dataclass
class Outcome:
    certificate: Path | None = None
    key: Path | None = None
    refusal: str = ""      # a failInfo's name
    trouble: str = ""      # where the client stopped by itself
    transcript: str = ""   # for who has to find out
