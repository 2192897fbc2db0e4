"""An OCSP answer that counts for some seconds: OpenSSL's count for a minute at least.

    ocsp_answer.py FOLDER REQUEST RESPONSE SECONDS

FOLDER has client-ca.pem, ca.key, and index.txt as `openssl ocsp -index` reads it.
"""

import datetime
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

folder, request, response, seconds = sys.argv[1:]
folder = pathlib.Path(folder)
authority = x509.load_pem_x509_certificate((folder / "client-ca.pem").read_bytes())
key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
asked = ocsp.load_der_ocsp_request((folder / request).read_bytes())

lines = (line.split("\t") for line in (folder / "index.txt").read_text().splitlines())
states = {int(line[3], 16): line[0] for line in lines}
state = states.get(asked.serial_number)
status = {
    "V": ocsp.OCSPCertStatus.GOOD,
    "R": ocsp.OCSPCertStatus.REVOKED,
    None: ocsp.OCSPCertStatus.UNKNOWN,
}[state]

now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)
answer = (
    ocsp.OCSPResponseBuilder()
    .add_response_by_hash(
        issuer_name_hash=asked.issuer_name_hash,
        issuer_key_hash=asked.issuer_key_hash,
        serial_number=asked.serial_number,
        algorithm=hashes.SHA1(),
        cert_status=status,
        this_update=now,
        next_update=now + datetime.timedelta(seconds=int(seconds)),
        revocation_time=now if state == "R" else None,
        revocation_reason=None,
    )
    .responder_id(ocsp.OCSPResponderEncoding.HASH, authority)
    .sign(key, hashes.SHA256())
)
(folder / response).write_bytes(answer.public_bytes(serialization.Encoding.DER))
