"""A token that grants all rights, signed with the secret in a file (RFC 7515, HS256)."""

import base64
import hashlib
import hmac
import json
import sys
import time


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


with open(sys.argv[1], "rb") as file:
    secret = file.read()
claims = {
    "sub": "fuzz",
    "exp": int(time.time()) + 24 * 60 * 60,
    "rooms": {"*": ["read", "write", "moderate"]},
}
signed = base64url(b'{"alg":"HS256","typ":"JWT"}') + b"." + base64url(json.dumps(claims).encode())
signature = hmac.new(secret, signed, hashlib.sha256).digest()
print((signed + b"." + base64url(signature)).decode())
