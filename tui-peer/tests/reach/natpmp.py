"""A router that speaks NAT-PMP (RFC 6886) for TCP and lets others in at port 4711. Arguments: its address outside, the one inside."""
import socket
import struct
import subprocess
import sys

PORT = 4711


def nft(rules):
    subprocess.run(["nft", "--", rules], check=True)


outside, inside = sys.argv[1:]
nft("add table ip portmap")
nft('insert rule ip t forward_ iifname "wan" ct status dnat accept')
nft('insert rule ip t input_ iifname "lan" udp dport 5351 accept')
requests = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
requests.bind((inside, 5351))
print("router is ready", flush=True)
while True:
    request, whom = requests.recvfrom(1100)
    version, operation = request[:2]
    head = lambda result: struct.pack("!BBHI", 0, operation | 0x80, result, 1)
    if version != 0:
        answer = head(1)
    elif operation == 0:
        answer = head(0) + socket.inet_aton(outside)
    else:
        port, _, lifetime = struct.unpack("!HHI", request[4:12])
        nft("flush table ip portmap")
        if lifetime:
            nft(
                f'table ip portmap {{ chain pre_ {{ type nat hook prerouting priority -100; '
                f'iifname "wan" tcp dport {PORT} dnat to {whom[0]}:{port}; }}; }}'
            )
        print("mapped" if lifetime else "given back", port, flush=True)
        answer = head(0) + struct.pack("!HHI", port, PORT if lifetime else 0, lifetime)
    requests.sendto(answer, whom)
