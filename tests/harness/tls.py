"""An authority of our own, and certificates by it, made with openssl(1): for tests of both sides of TLS."""
import array
import itertools
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


PAGE, PRESENT = 4096, 3 << 62  # of an entry in pagemap: in memory, or in swap


def memory_of(pid):
    """All memory that a process has, in runs of whole pages; what it has only reserved is left out."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem, open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        for line in maps:
            span, rights, *_ = line.split()
            begin, end = (int(x, 16) for x in span.split("-"))
            if "r" not in rights or line.rstrip().endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            pagemap.seek(begin // PAGE * 8)
            entries = array.array("Q", pagemap.read((end - begin) // PAGE * 8))
            for there, run in itertools.groupby(range(len(entries)), lambda i: bool(entries[i] & PRESENT)):
                pages = list(run)
                if not there:
                    continue
                mem.seek(begin + pages[0] * PAGE)
                try:
                    yield mem.read(len(pages) * PAGE)
                except OSError:
                    pass  # a device's memory


def found_in(pid, secrets):
    """Which of these octets are in a process's memory; each is shorter than a page, and may lie over the border of two that follow one another."""
    found = set()
    for piece in memory_of(pid):
        found |= {s for s in secrets if s not in found and s in piece}
    return found
