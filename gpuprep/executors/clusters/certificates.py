"""Certificates for a cluster: an authority made for it alone, and the one key pair that it vouches for.

Scheduler, workers and runs prove themselves to one another with this pair. The authority's own key is
never written, so that nobody can add another pair.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gpuprep.values.errors import UsageError

FILES = ("ca.pem", "cert.pem", "key.pem")


def make_certificates(folder: Path, days: int = 365) -> tuple[Path, Path, Path]:
    """Write ``ca.pem``, ``cert.pem`` and ``key.pem``, readable by their owner alone; returns their paths.

    Raises:
        UsageError: one of them is there already, or the folder cannot be written.
    """
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    contents = (
        _certificate(authority, authority, "gpuprep authority", days),
        _certificate(own, authority, "gpuprep cluster", days),
        own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ca, cert, key = (folder / name for name in FILES)
        for path, content in zip((ca, cert, key), contents, strict=True):
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.write(content)
    except FileExistsError as error:
        raise UsageError(
            f"{error.filename} is there already", advice="choose another folder, or remove it first"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None
    return ca, cert, key


def _certificate(
    key: ec.EllipticCurvePrivateKey, authority: ec.EllipticCurvePrivateKey, name: str, days: int
) -> bytes:
    """A certificate of a key, signed by the authority; with the extensions that strict readers ask for."""
    itself = key is authority
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named("gpuprep authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks of hosts differ
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=itself, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
            critical=False,
        )
        .add_extension(_usage(signs=itself), critical=True)
        .sign(authority, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    never = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        **dict.fromkeys((*never, "encipher_only", "decipher_only"), False),
    )
