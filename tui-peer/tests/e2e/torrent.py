"""Loads a v2 torrent with libtorrent and checks what was downloaded against it: torrent.py TORRENT FOLDER"""
import sys
import time

import libtorrent as lt

info = lt.torrent_info(sys.argv[1])
assert info.info_hashes().has_v2() and not info.info_hashes().has_v1()
quiet = {"listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False,
         "enable_upnp": False, "enable_natpmp": False}
session = lt.session(quiet)
params = lt.add_torrent_params()
params.ti, params.save_path = info, sys.argv[2]
torrent = session.add_torrent(params)
end = time.time() + 60
while time.time() < end:
    status = torrent.status()
    if status.is_seeding or status.errc.value():
        break
    if status.state == lt.torrent_status.states.downloading:
        break
    time.sleep(0.02)
files = info.files()
# It counts its own padding, too.
real = sum(not files.file_flags(at) & lt.file_flags_t.flag_pad_file for at in range(files.num_files()))
print(info.name(), real, status.total_wanted_done, status.is_seeding, info.info_hashes().v2)
