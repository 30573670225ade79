"""Reads the headers of a killed node's newest journal file, to say what a kill hit.

The format stands at the top of src/log/journal_format.cpp; this reader is its own.
"""

import struct

ALIGN = 4096
# magic, payload bytes, journal id, file number, position, durable_upto, time, records, zero, checksum
GROUP = struct.Struct("<4sIQQQQqIIQ")


def last_group(path):
    """(end of what the file holds, what is recorded as synced), as positions; None without a group."""
    found = None
    with open(path, "rb") as file:
        header = file.read(32)
        journal_id, number, file_bytes = struct.unpack_from("<QQQ", header, 8)
        at = ALIGN
        while at < file_bytes:
            file.seek(at)
            raw = file.read(GROUP.size)
            if len(raw) < GROUP.size:
                break
            magic, payload, group_journal, group_number, position, durable_upto, _, records, *_ = GROUP.unpack(raw)
            # A recycled file still holds groups of its former life.
            if (magic, group_journal, group_number, position) != (b"CMG1", journal_id, number, number * file_bytes + at):
                break
            at += -(-(GROUP.size + payload) // ALIGN) * ALIGN
            # A group without records holds nothing to lose: it only records the sync before it.
            found = (number * file_bytes + at if records else position), durable_upto
    return found


def unsynced_bytes(data_dir):
    """Bytes that the node had written, but not yet recorded as synced, when it was killed.

    An upper bound: the last sync may have returned before its record could follow.
    """
    for path in sorted((data_dir / "journal").glob("*.journal"), reverse=True):
        group = last_group(path)
        if group:
            end, durable_upto = group
            return end - durable_upto
    return 0


def groups(path):
    """(byte, length in the file, records) of each group, as their headers say."""
    with open(path, "rb") as file:
        header = file.read(32)
        journal_id, number, file_bytes = struct.unpack_from("<QQQ", header, 8)
        at = ALIGN
        while at < file_bytes:
            file.seek(at)
            raw = file.read(GROUP.size)
            if len(raw) < GROUP.size:
                return
            magic, payload, group_journal, group_number, position, _, _, records, *_ = GROUP.unpack(raw)
            if (magic, group_journal, group_number, position) != (b"CMG1", journal_id, number, number * file_bytes + at):
                return
            length = -(-(GROUP.size + payload) // ALIGN) * ALIGN
            yield at, length, records
            at += length
