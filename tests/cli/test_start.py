# SPDX-License-Identifier: Apache-2.0
"""Daemons as a service manager starts them, and pools that are named."""
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import time

import cli


class Named(cli.Case):
    def env(self):
        return {"DYNFS_CONFIG_DIR": self.path("etc")}

    def setUp(self):
        super().setUp()
        os.makedirs(self.path("etc", "folder"))
        self.write("etc/file.conf", cli.SOUND.replace("sound", "afile"))
        self.write("etc/folder/pool.conf",
                   cli.SOUND.replace("sound", "afolder"))

    def of(self, what):
        """The name that the configuration in use has."""
        text = self.good("config", "show", "--pool", what,
                         env=self.env()).out
        return re.search(r'\bname = "([a-z-]+)"', text)[1]

    def test_a_pool_is_its_file_its_folder_or_its_name(self):
        os.mkdir(self.path("file"))
        self.write("file/pool.conf", cli.SOUND)
        for what, name in ((self.path("etc", "file.conf"), "afile"),
                           (self.path("etc", "folder"), "afolder"),
                           ("etc/folder", "afolder"),
                           ("dynfs:folder", "afolder"),
                           ("folder", "afolder"),
                           ("dynfs:file", "afile"),
                           # here is a folder that is called so
                           ("file", "sound")):
            with self.subTest(what=what):
                self.assertEqual(self.of(what), name)

    def test_one_that_is_not_there_is_said_by_the_path_that_was_tried(self):
        etc = re.escape(self.path("etc"))
        for what, path in (("dynfs:none", etc + "/none\\.conf"),
                           ("none", etc + "/none\\.conf"),
                           ("./none", "\\./none/pool\\.conf"),
                           ("./none.conf", "\\./none\\.conf"),
                           ("dynfs:../file", "dynfs:\\.\\./file")):
            with self.subTest(what=what):
                self.refused(cli.NO_POOL, path, "status", "--pool", what,
                             env=self.env())


@cli.needs_mount
class Notified(cli.Case):
    """NOTIFY_SOCKET, in a folder and in none."""

    def run_notified(self, address, name):
        pool = self.path("pool")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            run = subprocess.Popen(
                [cli.BIN, "run", "--pool", pool, "--mountpoint",
                 self.path("mnt")], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(os.environ, NOTIFY_SOCKET=name))
            self.daemons.append(run.pid)
            said = self.hear(manager)
            self.assertIn("READY=1", said)
            self.assertIn(f"MAINPID={run.pid}", said)
            self.assertIn("STATUS=serving pool pool", said)
            # not before: who is told may use it at once
            self.assertTrue(os.path.ismount(self.path("mnt")))
            run.terminate()
            self.assertIn("STOPPING=1", self.hear(manager))
            self.assertEqual(run.wait(timeout=60), 0)

    def hear(self, manager):
        ready, _, _ = select.select([manager], [], [], 60)
        self.assertTrue(ready, "nothing was said")
        return manager.recv(4096).decode().split("\n")

    def test_ready_and_stopping_are_told(self):
        self.make_pool(n=3, policy="erasure:2+1")
        os.mkdir(self.path("mnt"))
        path = self.path("notify")
        self.run_notified(path, path)
        name = f"dynfs-test-{os.getpid()}"
        self.run_notified("\0" + name, "@" + name)

    def test_a_manager_that_is_not_there_is_no_hindrance(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        mnt = self.path("mnt")
        os.mkdir(mnt)
        for name in ("", "@", "relative", "/nowhere/at/all", "/" + "x" * 300):
            self.good("mount", "--pool", pool, "--mountpoint", mnt,
                      env={"NOTIFY_SOCKET": name})
            self.umount(pool)


@cli.needs_mount
class Claimed(cli.Case):
    def test_a_daemon_that_hangs_is_waited_for_and_ends_the_wait(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        self.mount(pool)
        pid = self.settled(pool)["pid"]
        subprocess.run(["umount", "-i", "-l", self.path("mnt")], check=True)
        # on its way to the end, and then nothing more for a while
        os.kill(pid, signal.SIGSTOP)
        wait = subprocess.Popen([cli.BIN, "mount", "--pool", pool,
                                 "--mountpoint", self.path("mnt")],
                                stderr=subprocess.PIPE, text=True,
                                stdout=subprocess.DEVNULL)
        try:
            time.sleep(2)
            self.assertIsNone(wait.poll(), "it did not wait")
        finally:
            os.kill(pid, signal.SIGCONT)
        _, said = wait.communicate(timeout=cli.SECONDS)
        self.assertEqual(wait.returncode, cli.OK, said)
        self.assertTrue(os.path.ismount(self.path("mnt")))
        self.umount(pool)

    def test_whoever_has_the_lock_is_waited_for(self):
        pool = self.make_pool(n=3, policy="erasure:2+1")
        os.mkdir(self.path("mnt"))
        fd = os.open(pool, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        wait = subprocess.Popen([cli.BIN, "mount", "--pool", pool,
                                 "--mountpoint", self.path("mnt")],
                                stderr=subprocess.PIPE, text=True,
                                stdout=subprocess.DEVNULL)
        time.sleep(2)
        self.assertIsNone(wait.poll(), "it did not wait")
        os.close(fd)
        _, said = wait.communicate(timeout=cli.SECONDS)
        self.assertEqual(wait.returncode, cli.OK, said)
        self.assertIn("still being closed by another process", said)
        self.umount(pool)


if __name__ == "__main__":
    cli.main()
