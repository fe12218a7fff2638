"""An authority of our own, and certificates by it, made with openssl(1): for tests of both sides of TLS."""
import pathlib
import subprocess

KEYS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}


def openssl(*arguments, **more):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, timeout=60, **more)
    assert done.returncode == 0, f"openssl {arguments} ended with {done.returncode}: {done.stderr.decode()}"
    return done.stdout


class Authority:
    def __init__(self, folder, name="Test Authority"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        self.key, self.cert = self.folder / "ca.key", self.folder / "ca.pem"
        openssl("req", "-x509", *KEYS["ec"], "-nodes", "-keyout", self.key, "-out", self.cert, "-days", 30, "-subj", f"/CN={name}")

    def issue(self, file, names, kind="ec", days=20):
        """(chain, key) of a certificate for these host names."""
        chain, key, request, alt = (self.folder / f"{file}.{end}" for end in ("pem", "key", "csr", "ext"))
        openssl("req", *KEYS[kind], "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={names[0]}")
        alt.write_text("subjectAltName=" + ",".join(f"DNS:{n}" for n in names) + "\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
        leaf = openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days, "-extfile", alt)
        chain.write_bytes(leaf + self.cert.read_bytes())
        return chain, key


def block(name, *pairs, more=""):
    """A tls block of a configuration."""
    return f"tls {name} {{ " + "; ".join(f"certificate {chain}; key {key}" for chain, key in pairs) + f"; {more} }}\n"


def secrets_of(key):
    """The octets of a private key that nobody else may have: for an ECDSA key its number, for an RSA key its primes and exponent, in both orders."""
    text = openssl("pkey", "-in", key, "-noout", "-text").decode()
    fields, current = {}, None
    for line in text.splitlines():
        if line.startswith(" "):
            if current:
                fields[current] += line.strip().replace(":", "")
        else:
            current = line.split(":")[0].strip()
            fields[current] = ""
    wanted = [bytes.fromhex(fields[n]).lstrip(b"\0") for n in ("priv", "prime1", "prime2", "privateExponent") if fields.get(n)]
    assert wanted, text
    return [s for one in wanted for s in (one, one[::-1])]


def memory_of(pid):
    """All readable memory of a process, piece by piece."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights, *_ = line.split()
            begin, end = (int(x, 16) for x in span.split("-"))
            if "r" not in rights or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                continue
            while begin < end:
                try:
                    mem.seek(begin)
                    piece = mem.read(min(end - begin, 1 << 22))
                except OSError:
                    break
                if not piece:
                    break
                yield piece
                begin += len(piece)


def holds(pid, secrets):
    """Whether any of these octets are in a process's memory. Pieces overlap by nothing: a key is looked for in its longest runs."""
    tail = b""
    for piece in memory_of(pid):
        if any(s in tail + piece for s in secrets):
            return True
        tail = piece[-600:]
    return False
