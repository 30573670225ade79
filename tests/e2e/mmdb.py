"""Writes a small database in MaxMind's format (IPv6 tree, records of 24 bits)."""

import ipaddress


def encoded(value):
    """Of a text, a map, or (bits, number)."""
    if isinstance(value, str):
        text = value.encode()
        assert len(text) < 29
        return bytes([2 << 5 | len(text)]) + text
    if isinstance(value, dict):
        return bytes([7 << 5 | len(value)]) + b"".join(encoded(key) + encoded(inner) for key, inner in value.items())
    if isinstance(value, list):
        assert not value
        return bytes([0, 11 - 7])
    bits, number = value
    size = bits // 8
    kind = {16: 5, 32: 6, 64: 9}[bits]
    return (bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])) + number.to_bytes(size, "big")


def database(records, build_epoch=1_781_654_400):
    """records: block ("8.8.8.0/24", "2a00::/16") -> what is known of it."""
    nodes, data = [[None, None]], b""
    places = []
    for block, record in records.items():
        network = ipaddress.ip_network(block)
        bits = network.prefixlen + (96 if network.version == 4 else 0)
        address = int(network.network_address)
        at = 0
        for depth in range(bits):
            side = address >> (127 - depth) & 1
            if depth + 1 == bits:
                nodes[at][side] = ("record", len(places))
            elif nodes[at][side] is None:
                nodes.append([None, None])
                nodes[at][side] = ("node", len(nodes) - 1)
            if depth + 1 < bits:
                at = nodes[at][side][1]
        places.append(len(data))
        data += encoded(record)
    tree = b""
    for node in nodes:
        for side in node:
            value = len(nodes) if side is None else side[1] if side[0] == "node" else len(nodes) + 16 + places[side[1]]
            tree += value.to_bytes(3, "big")
    metadata = encoded({"node_count": (32, len(nodes)), "record_size": (16, 24), "ip_version": (16, 6),
                        "database_type": "Countries", "languages": [], "description": {}, "binary_format_major_version": (16, 2),
                        "binary_format_minor_version": (16, 0), "build_epoch": (64, build_epoch)})
    return tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + metadata
