#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second verifier of inhouse's record, to be read in one sitting. It shares no code with the program that writes the
record and needs nothing but Python: SHA-256 is hashlib's, Ed25519 is below (RFC 8032), the tree is RFC 6962's, the notes
and proofs are C2SP's (signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof, tlog-witness).

  verify.py log HOME|data.db        the whole log as it lies in the database, beside a running server too
  verify.py export FILE.jsonl       what `inhouse audit export` wrote
  verify.py proof FILE              what `inhouse audit prove N` wrote: one record, and that it is in the log
  verify.py extends OLD FILE        what `inhouse audit prove --since OLD` wrote: the log only grew since the checkpoint OLD
  verify.py checkpoint FILE         the signatures of one checkpoint

  --key KEY        the log's key, as kept outside: origin+id+base64 (log: default, the one in keys.db beside it)
  --known FILE     a checkpoint kept outside, which the log or export must contain (may be given more than once)
  --witness KEY    a witness that must have cosigned (checkpoint, proof; may be given more than once)
  --json           the findings as JSON

Exit status: 0 all is well, 1 something was changed (each finding names the records, numbered from 0), 2 wrong usage,
3 a file that cannot be read."""
import argparse
import base64
import copy
import hashlib
import json
import sqlite3
import struct
import sys
from contextlib import closing
from pathlib import Path

MEMBERS = "actor at cost in_mac kind out_mac releases rung seq task team tokens v verdict".split()
KEY_CHANGED = "log_key_changed"  # a record that names the old key and the new one

# ---- Ed25519, RFC 8032 section 5.1 and appendix A: verification only, nothing here is secret ----

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)

def point_add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P

def point_mul(s, p):
    q = (0, 1, 1, 0)
    while s > 0:
        if s & 1:
            q = point_add(q, p)
        p = point_add(p, p)
        s >>= 1
    return q

def point_read(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P != 0 or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P

def point_write(p):
    z = pow(p[2], P - 2, P)
    x, y = p[0] * z % P, p[1] * z % P
    return (y | ((x & 1) << 255)).to_bytes(32, "little")

BASE = point_read((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def ed25519_good(public, message, signature):
    a, s = point_read(public), int.from_bytes(signature[32:], "little")
    if a is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    minus_a = (P - a[0], a[1], a[2], P - a[3])
    return point_write(point_add(point_mul(s, BASE), point_mul(k, minus_a))) == signature[:32]

# ---- signed notes and checkpoints ----

class Bad(Exception):
    pass

def unbase64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Bad(f"not base64: {text[:40]}") from None
    if base64.b64encode(data).decode() != text:
        raise Bad(f"base64 in another spelling: {text[:40]}")
    return data

class Key:
    """A note verifier key: name+id+base64(algorithm, public key); 1 signs notes, 4 cosigns checkpoints."""

    def __init__(self, text):
        try:
            self.name, number, data = text.strip().split("+", 2)
        except ValueError:
            raise Bad(f"not a verifier key: {text[:60]}") from None
        data = unbase64(data)
        self.text, self.algorithm, self.public = text.strip(), data[0] if data else 0, data[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        if self.algorithm not in (1, 4) or len(self.public) != 32 or number != self.id.hex():
            raise Bad(f"not an Ed25519 verifier key: {text[:60]}")

    def signed(self, note):
        """Whether this key signed the note; a cosignature has its time in it."""
        for name, blob in note.signatures:
            if name != self.name or blob[:4] != self.id:
                continue
            if self.algorithm == 1 and len(blob) == 68:
                return ed25519_good(self.public, note.text, blob[4:])
            if self.algorithm == 4 and len(blob) == 76:
                at = struct.unpack(">Q", blob[4:12])[0]
                return ed25519_good(self.public, b"cosignature/v1\ntime %d\n" % at + note.text, blob[12:])
        return False

class Checkpoint:
    """origin, size and root; `text` is what is signed."""

    def __init__(self, note):
        note = note if isinstance(note, bytes) else note.encode()
        text, gap, lines = note.partition(b"\n\n")
        self.text, self.signatures = text + b"\n", []
        head = text.decode("utf-8", "replace").split("\n")
        if not gap or len(head) != 3 or not head[0] or not lines.endswith(b"\n"):
            raise Bad("a checkpoint is an origin, a size and a root, an empty line and signatures")
        self.origin, size, root = head
        if not size.isascii() or not size.isdigit() or (size[0] == "0" and size != "0"):
            raise Bad(f"not a size: {size[:24]}")
        self.size, self.root = int(size), unbase64(root)
        if len(self.root) != 32:
            raise Bad("a root has 32 bytes")
        for line in lines.decode("utf-8", "replace")[:-1].split("\n"):
            dash, _, rest = line.partition(" ")
            name, _, blob = rest.partition(" ")
            if dash != "\u2014" or not name or not blob:
                raise Bad(f"not a signature line: {line[:60]}")
            self.signatures.append((name, unbase64(blob)))

# ---- the tree of RFC 6962 ----

def leaf_hash(body):
    return hashlib.sha256(b"\0" + body).digest()

def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()

class Tree:
    """The full subtrees of the leaves so far, (height, hash) from left to right."""

    def __init__(self):
        self.size, self.nodes = 0, []

    def push(self, hash_, height=0):
        self.size += 1 << height
        while self.nodes and self.nodes[-1][0] == height:
            hash_, height = node_hash(self.nodes.pop()[1], hash_), height + 1
        self.nodes.append((height, hash_))

    def push_edge(self, hashes, end):
        """The full subtrees that the leaves from here to `end` fall into."""
        for hash_ in hashes:
            height = 0
            while not (self.size >> height) & 1 and self.size + (2 << height) <= end:
                height += 1
            self.push(hash_, height)
        if self.size != end:
            raise Bad(f"the edge of the tree ends at {self.size}, not at {end}")

    def root(self):
        if not self.nodes:
            return hashlib.sha256(b"").digest()
        root = self.nodes[-1][1]
        for _, left in reversed(self.nodes[:-1]):
            root = node_hash(left, root)
        return root

def climb(fn, sn, old, new, path):
    """RFC 9162 sections 2.1.3.2 and 2.1.4.2: the roots that a proof leads to, of the part and of the whole."""
    for c in path:
        if sn == 0:
            return None, None
        if fn & 1 or fn == sn:
            old, new = node_hash(c, old), node_hash(c, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, c)
        fn, sn = fn >> 1, sn >> 1
    return (old, new) if sn == 0 else (None, None)

def included(hash_, index, size, path, root):
    return 0 <= index < size and climb(index, size - 1, hash_, hash_, path)[1] == root

def extends(old_size, old_root, size, root, path):
    if old_size in (0, size):
        return not path and old_root == (root if size == old_size else hashlib.sha256(b"").digest())
    path = ([old_root] if old_size & (old_size - 1) == 0 else []) + path
    fn, sn = old_size - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return old_size < size and len(path) > 0 and climb(fn, sn, path[0], path[0], path[1:]) == (old_root, root)

# ---- a run of records with checkpoints among them ----

def canonical(body):
    """The record, or None when it is not the one spelling of a record."""
    try:
        record = json.loads(body)
        again = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    good = again == body and len(body) <= 8192 and isinstance(record, dict) and sorted(record) == MEMBERS
    return record if good and all(type(record[k]) is int for k in ("at", "cost", "seq", "v")) else None

class Run:
    """Takes leaves and checkpoints in order and collects what is wrong."""

    def __init__(self, key, known):
        self.given = self.key = key
        self.known = sorted(known, key=lambda c: c.size)
        self.trusted = False   # a checkpoint was signed by the very key that was given
        self.findings, self.tree, self.records, self.checkpoints = [], Tree(), 0, 0
        self.other, self.suspect = None, False  # the tree of the bodies, where hashes were stored beside them
        self.lost = False      # after a leaf that is gone, no root can match any more
        self.good = 0          # size at the last checkpoint that matched
        self.next_key = None   # from the checkpoint after a change on
        self.last_signed = 0

    def found(self, kind, first, last, text):
        self.findings.append({"kind": kind, "first": first, "last": last, "text": text})
        self.suspect = True

    def leaf(self, seq, body, stored=None):
        if seq != self.tree.size:
            self.found("leaf_missing" if seq > self.tree.size else "leaf_moved", self.tree.size, max(seq - 1, 0),
                       f"leaves {self.tree.size} to {seq - 1} are missing" if seq > self.tree.size else
                       f"leaf {seq} stands where {self.tree.size} belongs")
            self.lost, self.tree.size = True, seq
        hash_ = leaf_hash(body)
        same = stored is None or stored == hash_
        record = canonical(body) if same else None
        if not same:
            self.found("leaf_changed", seq, seq, f"leaf {seq} was changed: its hash is not that of its body")
            self.other = self.other or copy.deepcopy(self.tree)
        elif record is None:
            self.found("leaf_form", seq, seq, f"leaf {seq} is not in the canonical form")
        elif record["seq"] != seq:
            self.found("leaf_moved", seq, seq, f"leaf {seq} holds the record numbered {record['seq']}")
        elif record["kind"] == KEY_CHANGED and len(record["releases"]) == 2:
            self.next_key = record["releases"]
        if self.other:
            self.other.push(hash_)
        self.tree.push(stored if stored is not None and len(stored) == 32 else hash_)
        self.records += 1
        self.at_known()

    def at_known(self):
        while self.known and self.known[0].size <= self.tree.size:
            c = self.known.pop(0)
            if c.size == self.tree.size and c.root != self.tree.root():
                self.found("known", 0, c.size - 1,
                           f"the first {c.size} leaves are not those of the checkpoint that was kept outside")

    def checkpoint(self, note, size=None, root=None):
        """One of the log's own; size and root are what is stored beside the note."""
        self.checkpoints += 1
        where = size if size is not None else self.tree.size
        try:
            c = Checkpoint(note)
        except Bad as e:
            self.found("checkpoint", -1, -1, f"the checkpoint at {where} is malformed: {e}")
            return
        if c.origin != self.key.name or len(c.signatures) != 1 or not self.key.signed(c):
            self.found("signature", -1, -1, f"the checkpoint at {where} is not signed by the key of this log")
            return
        if (size is not None and size != c.size) or (root is not None and root != c.root):
            self.found("checkpoint", -1, -1, f"the checkpoint at {where} disagrees with its own signed note")
            return
        self.trusted = self.trusted or self.key.text == self.given.text
        self.last_signed = max(self.last_signed, c.size)
        if c.size == self.tree.size:
            self.compare(c)
        if self.next_key and c.size >= self.tree.size:
            self.change_key()

    def compare(self, c):
        match = self.tree.root() == c.root
        if not match and self.other:
            match, self.tree = self.other.root() == c.root, self.other
        self.other = None
        if match:
            self.good = c.size
        elif not self.lost and not self.suspect:
            self.found("rewritten", self.good, c.size - 1, f"leaves {self.good} to {c.size - 1}: at least one was "
                       f"rewritten together with its hash; the signed checkpoint at {c.size} does not match")
        self.lost, self.suspect = self.lost or not match, False

    def change_key(self):
        old, new = self.next_key
        self.next_key = None
        try:
            if old != self.key.text or Key(new).name != self.key.name:
                raise Bad("it does not follow the key before it")
            self.key = Key(new)
        except Bad as e:
            self.found("signature", -1, -1, f"a change of the log's key before {self.tree.size} is wrong: {e}")

    def end(self, whole):
        if self.last_signed > self.tree.size:
            self.found("truncated", self.tree.size, self.last_signed - 1, f"the record is cut off: leaves "
                       f"{self.tree.size} to {self.last_signed - 1} are gone, but signed for")
        elif whole and self.last_signed < self.tree.size and not self.findings:
            self.found("unsigned", self.last_signed, self.tree.size - 1,
                       f"leaves {self.last_signed} to {self.tree.size - 1} are covered by no checkpoint")
        for c in self.known:
            self.found("known", self.tree.size, c.size - 1, f"the checkpoint that was kept outside covers {c.size} "
                       f"leaves; only {self.tree.size} are here")
        if self.checkpoints and not self.trusted and not self.findings:
            self.found("signature", -1, -1, "no checkpoint is signed by the key given")

def first_key(key, bodies):
    """The key that the first checkpoint must be signed with: the given one, or the one that it replaced, and so on."""
    chain = []
    for body in bodies:
        if b'"kind":"' + KEY_CHANGED.encode() + b'"' in body:
            record = canonical(body)
            if record and len(record["releases"]) == 2:
                chain.append(record["releases"])
    return Key(chain[0][0]) if any(key.text in pair for pair in chain) else key

# ---- what can be verified ----

def stored_key(folder):
    """The newest key of the log, from the folder that is verified: good against accidents, not against its owner."""
    with closing(sqlite3.connect(f"file:{folder / 'keys.db'}?mode=ro", uri=True)) as keys:
        origin, public = keys.execute("SELECT origin, public FROM log_key ORDER BY id DESC LIMIT 1").fetchone()
    number = hashlib.sha256(origin.encode() + b"\n\1" + public).digest()[:4].hex()
    return Key(f"{origin}+{number}+{base64.b64encode(bytes([1]) + public).decode()}")

def verify_log(path, key, known):
    path = Path(path) / "data.db" if Path(path).is_dir() else Path(path)
    run = Run(key or stored_key(path.parent), known)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.text_factory = bytes
        db.execute("BEGIN")  # one moment's view
        run.key = first_key(run.key, (bytes(r[0]) for r in db.execute("SELECT body FROM leaf ORDER BY seq")))
        marks = db.execute("SELECT size, root, note FROM checkpoint ORDER BY size DESC").fetchall()
        try:
            for seq, body, stored in db.execute("SELECT seq, body, hash FROM leaf ORDER BY seq"):
                run.leaf(seq, bytes(body), stored)
                while marks and marks[-1][0] <= seq + 1:
                    size, root, note = marks.pop()
                    run.checkpoint(note, size, root)
            for size, root, note in reversed(marks):
                run.checkpoint(note, size, root)
            run.end(True)
            edge = db.execute("SELECT size, hashes FROM tree_edge").fetchone()
            if not run.findings and (edge or (0, b"")) != (run.tree.size, b"".join(h for _, h in run.tree.nodes)):
                run.found("edge", -1, -1, f"the stored edge of the tree is not that of its {run.tree.size} leaves")
        except sqlite3.DatabaseError as e:
            run.found("damaged", run.tree.size, -1, f"the database cannot be read on after leaf {run.tree.size - 1}: {e}")
    return run

def verify_export(path, key, known):
    with open(path, "rb") as f:
        head = json.loads(f.readline())
        if head.get("inhouse_audit") != 1:
            raise Bad(f"{path} is no export of a record")
        key = key or Key(head["key"])
        start = f.tell()
        run = Run(key, known)
        run.key = first_key(key, f)
        f.seek(start)
        if "from" in head:
            whole_export(run, head, f)
        else:
            picked_export(run, f)
    return run

def whole_export(run, head, f):
    run.tree.push_edge([unbase64(h) for h in head["left"]], head["from"])
    run.good, ended = head["from"], False
    for line in f:
        if ended or not line.endswith(b"\n"):
            run.found("form", run.tree.size, -1, f"a line after the end, or half a line, at leaf {run.tree.size}")
            return
        if line.startswith(b'{"checkpoint"'):
            end = json.loads(line)
            if "to" in end:
                ended = True
                if end["to"] != run.tree.size:
                    run.found("truncated", run.tree.size, end["to"] - 1,
                              f"leaves {run.tree.size} to {end['to'] - 1} are missing before the end")
                    continue
                run.tree.push_edge([unbase64(h) for h in end["right"]], Checkpoint(end["checkpoint"]).size)
            run.checkpoint(end["checkpoint"])
        else:
            record = canonical(line[:-1])
            # the number in the record says which one is missing; a changed one stands where it stands
            seq = record["seq"] if record and record["seq"] > run.tree.size else run.tree.size
            run.leaf(seq, line[:-1])
    if not ended:
        run.found("truncated", run.tree.size, -1, f"the export is cut off after leaf {run.tree.size - 1}")
    run.end(False)

def picked_export(run, f):
    checkpoint = None
    for number, line in enumerate(f, 2):
        item = json.loads(line)
        if "checkpoint" in item:
            run.checkpoint(item["checkpoint"], Checkpoint(item["checkpoint"]).size)
            checkpoint = Checkpoint(item["checkpoint"])
            continue
        body = json.dumps(item["record"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        seq = item["record"].get("seq", -1)
        run.records += 1
        if checkpoint is None or not included(leaf_hash(body), seq, checkpoint.size,
                                              [unbase64(h) for h in item["proof"]], checkpoint.root):
            run.found("leaf_changed", seq, seq, f"line {number}: record {seq} does not lead to the signed root")

def split_proof(path):
    head, _, note = Path(path).read_bytes().partition(b"\n\n")
    return head.decode().split("\n"), note

def verify_proof(path, key, witnesses):
    lines, note = split_proof(path)
    if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise Bad(f"{path} is no tlog-proof with a record in it")
    body, index = unbase64(lines[1][6:]), int(lines[2][6:])
    run, c = verify_checkpoint(note, key, witnesses)
    record = canonical(body)
    if not included(leaf_hash(body), index, c.size, [unbase64(h) for h in lines[3:]], c.root):
        run.found("leaf_changed", index, index, f"record {index} does not lead to the signed root at {c.size}")
    if record is None or record["seq"] != index:
        run.found("leaf_form", index, index, f"record {index} is not in the canonical form, or carries another number")
    return run

def verify_extends(old_path, path, key, witnesses):
    lines, note = split_proof(path)
    run, old = verify_checkpoint(Path(old_path).read_bytes(), key, [])
    more, c = verify_checkpoint(note, key, witnesses)
    run.findings += more.findings
    if lines[0] != f"old {old.size}":
        raise Bad(f"the proof is not from the checkpoint at {old.size}: {lines[0][:40]}")
    if old.origin != c.origin or not extends(old.size, old.root, c.size, c.root, [unbase64(h) for h in lines[1:]]):
        run.found("rewritten", 0, old.size - 1, f"the log of {c.size} does not contain the one of {old.size}: it was "
                  "rewritten or cut off, or two were kept")
    return run

def verify_checkpoint(note, key, witnesses):
    run, c = Run(key, []), Checkpoint(note)
    if c.origin != key.name or not key.signed(c):
        run.found("signature", -1, -1, f"the checkpoint at {c.size} is not signed by the key of this log")
    for w in (w for w in witnesses if not w.signed(c)):
        run.found("signature", -1, -1, f"the checkpoint at {c.size} is not cosigned by {w.name}")
    return run, c

def main():
    p = argparse.ArgumentParser(prog="verify.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("what", choices=["log", "export", "proof", "extends", "checkpoint"])
    p.add_argument("files", nargs="+")
    p.add_argument("--key", type=Key)
    p.add_argument("--known", action="append", default=[])
    p.add_argument("--witness", action="append", default=[], type=Key)
    p.add_argument("--json", action="store_true")
    o = p.parse_args()
    if len(o.files) != (2 if o.what == "extends" else 1) or (o.key is None and o.what not in ("log", "export")):
        p.error("how many files, or no --key: see --help")
    try:
        known = [Checkpoint(Path(k).read_bytes()) for k in o.known]
        if o.what in ("log", "export"):
            run = (verify_log if o.what == "log" else verify_export)(o.files[0], o.key, known)
        elif o.what == "proof":
            run = verify_proof(o.files[0], o.key, o.witness)
        elif o.what == "extends":
            run = verify_extends(o.files[0], o.files[1], o.key, o.witness)
        else:
            run = verify_checkpoint(Path(o.files[0]).read_bytes(), o.key, o.witness)[0]
    except (Bad, OSError, ValueError, KeyError, TypeError, IndexError, sqlite3.Error) as e:
        print(f"verify: {type(e).__name__ if not str(e) else e}", file=sys.stderr)
        return 3
    told = {"ok": not run.findings, "records": run.records, "checkpoints": run.checkpoints, "findings": run.findings}
    if o.json:
        print(json.dumps(told))
    else:
        print("".join(f["text"] + "\n" for f in run.findings) +
              f"{'CHANGED' if run.findings else 'whole'}: {run.records} records, {run.checkpoints} checkpoints")
    return 1 if run.findings else 0

if __name__ == "__main__":
    sys.exit(main())
