from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from domain.http import HttpFailure
from runtime.egress import Egress
from tests.support.http_server import http_server, seen


async def test_a_certificate_nobody_vouches_for_is_a_failure(
    tmp_path: Path,
) -> None:
    egress = Egress([ipaddress.ip_network("127.0.0.0/8")])
    async with http_server({"/": seen}, tls=self_signed(tmp_path)) as server:
        with pytest.raises(HttpFailure, match="CERTIFICATE_VERIFY_FAILED"):
            await egress.of("somebody").send(
                "GET", f"https://127.0.0.1:{server.port}/", headers={}, body=None
            )
        assert not server.received
    await egress.close()


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
