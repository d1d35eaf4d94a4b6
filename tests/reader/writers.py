# SPDX-License-Identifier: Apache-2.0
"""Small writers of DOCX and PDF, so that the tests know exactly what a document holds."""
import io
import zipfile
from xml.sax.saxutils import escape

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" ' \
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def paragraph(text, style=None, item=None, link=None, raw=""):
    props = (f'<w:pStyle w:val="{style}"/>' if style else "") + \
        (f'<w:numPr><w:ilvl w:val="{item}"/><w:numId w:val="1"/></w:numPr>' if item is not None else "")
    run = f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r>' if text else ""
    if link:
        run = f'<w:hyperlink r:id="{link}">{run}</w:hyperlink>'
    return f"<w:p><w:pPr>{props}</w:pPr>{run}{raw}</w:p>"


def table(rows, header=True):
    out = "<w:tbl>"
    for i, row in enumerate(rows):
        out += "<w:tr>" + ("<w:trPr><w:tblHeader/></w:trPr>" if header and i == 0 else "")
        out += "".join(f"<w:tc>{''.join(paragraph(line) for line in cell.split(chr(10)))}</w:tc>" for cell in row) + "</w:tr>"
    return out + "</w:tbl>"


def docx(body, footnotes="", links=None, core="", extra=None):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("[Content_Types].xml", '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>')
        z.writestr("_rels/.rels", f'<Relationships><Relationship Id="r1" Type="{RELS}/officeDocument" Target="word/document.xml"/></Relationships>')
        z.writestr("word/document.xml", f'<?xml version="1.0" encoding="UTF-8"?><w:document {W}><w:body>{body}</w:body></w:document>')
        z.writestr("word/styles.xml", f'<w:styles {W}>' + "".join(
            f'<w:style w:type="paragraph" w:styleId="{i}"><w:name w:val="{n}"/>{b}</w:style>' for i, n, b in (
                ("berschrift1", "heading 1", ""), ("berschrift2", "heading 2", ""), ("Zitat", "Quote", ""),
                ("Eigene", "Our heading", '<w:basedOn w:val="berschrift2"/>'))) + "</w:styles>")
        if links:
            z.writestr("word/_rels/document.xml.rels", "<Relationships>" + "".join(
                f'<Relationship Id="{i}" Type="{RELS}/{kind}" Target="{escape(t)}" TargetMode="External"/>'
                for i, (kind, t) in links.items()) + "</Relationships>")
        if footnotes:
            z.writestr("word/footnotes.xml", f"<w:footnotes {W}>{footnotes}</w:footnotes>")
        if core:
            z.writestr("docProps/core.xml", core)
        for name, content in (extra or {}).items():
            z.writestr(name, content)
    return data.getvalue()


def pdf_of(objects, root=1, info=None):
    out, places = b"%PDF-1.5\n", []
    for i, body in enumerate(objects):
        places.append(len(out))
        out += b"%d 0 obj\n" % (i + 1) + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % p for p in places)
    extra = b" /Info %d 0 R" % info if info else b""
    return out + b"trailer << /Size %d /Root %d 0 R%s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, root, extra, start)


def stream(data):
    return b"<< /Length %d >>\nstream\n" % len(data) + data + b"\nendstream"


def pdf(pages, title=None, author=None, catalog=b""):
    """pages: a list of pages, each a list of lines in Latin-1."""
    n = len(pages)
    font = 3 + 2 * n
    objects = [b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
               b"<< /Type /Pages /Count %d /Kids [%s] >>" % (n, b" ".join(b"%d 0 R" % (3 + 2 * i) for i in range(n)))]
    for i, lines in enumerate(pages):
        text = b"BT /F1 12 Tf 14 TL 50 740 Td "
        for line in lines:
            text += b"(" + line.encode("latin-1").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") + b") Tj T* "
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents %d 0 R /Resources << /Font << /F1 %d 0 R >> >> >>"
                       % (4 + 2 * i, font))
        objects.append(stream(text + b"ET"))
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    info = None
    if title or author:
        objects.append(b"<< /Title (%s) /Author (%s) /CreationDate (D:20240102030405Z) >>"
                       % ((title or "").encode("latin-1"), (author or "").encode("latin-1")))
        info = len(objects)
    return pdf_of(objects, info=info)
