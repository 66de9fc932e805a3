"""A link: the TCP connection between one service and one store, as a thing that can be cut.

nginx's stream module as one small process for each link. A cut is SIGSTOP: packets vanish, no
end hears of it, as with a cable pulled out (a proxy that closes would tell both at once). A
slow link is the same process started anew with a rate, which resets its connections.
Traffic control (netem) would do without processes, and needs root and a kernel module that
containers do not have.
"""
import os
import pathlib
import signal
import socket
import subprocess

from support.waiting import eventually

MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

CONFIGURATION = """load_module {module};
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log error;
events {{ worker_connections 256; }}
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{target};
        proxy_connect_timeout 2s;
        proxy_timeout 1h;
        {rate}
    }}
}}
"""


class Link:
    def __init__(self, folder: pathlib.Path, port: int, target: int):
        self.port, self.target = port, target
        self._folder, self._process = folder, None

    def start(self, bytes_per_second: int | None = None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        rate = f"proxy_upload_rate {bytes_per_second}; proxy_download_rate {bytes_per_second};"
        path = self._folder / "nginx.conf"
        path.write_text(CONFIGURATION.format(module=MODULE, folder=self._folder, port=self.port, target=self.target,
                                             rate=rate if bytes_per_second else ""))
        # It ends with us, however we end.
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "nginx", "-e", self._folder / "log", "-p", self._folder, "-c", path])
        eventually(f"the link at port {self.port} listens", self._listens, within=20)

    def _listens(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()[-500:]
        with socket.create_connection(("127.0.0.1", self.port), timeout=2):
            return True

    def cut(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def mend(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def slow_down(self, bytes_per_second: int) -> None:
        self.stop()
        self.start(bytes_per_second)

    def speed_up(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
