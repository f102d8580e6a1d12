"""Extracts members of a wheel (zip) or a source package (tar.gz) by file name: extract.py ARCHIVE FOLDER NAME..."""
import os, shutil, sys, tarfile, zipfile

archive, folder, names = sys.argv[1], sys.argv[2], set(sys.argv[3:])


def save(name, stream):
    # Only the last part of a member's path is used, so that no archive can write elsewhere.
    with stream, open(os.path.join(folder, name), "wb") as out:
        shutil.copyfileobj(stream, out)


if zipfile.is_zipfile(archive):
    with zipfile.ZipFile(archive) as z:
        for member in z.infolist():
            if os.path.basename(member.filename) in names:
                save(os.path.basename(member.filename), z.open(member))
else:
    with tarfile.open(archive, "r:gz") as t:
        for member in t:
            if member.isfile() and os.path.basename(member.name) in names:
                save(os.path.basename(member.name), t.extractfile(member))
