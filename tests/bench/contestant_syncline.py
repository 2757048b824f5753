"""Our own nodes, as a user runs them: encryption, verification and group durability on."""
from contestant import Contestant
from farm.cluster import Cluster


class Syncline(Contestant):
    name = "syncline"

    def __init__(self, network, directory, fill=None, binaries=None):
        self.binaries = binaries
        super().__init__(network, directory, fill)

    def make_folders(self):
        self.cluster = Cluster(self.binaries, prefix="nodes-", parent=self.directory, hosts=self.hosts)
        nodes = [self.cluster.new_node() for _ in self.hosts]
        for node in nodes:
            self.fill_folder(node.folder)
        return [node.folder for node in nodes]

    def start(self):
        founder, *others = self.cluster.nodes
        founder.found()
        self.start_node(founder)
        founder.wait_ready(600)
        for node in others:
            node.join(founder.invite())
            self.start_node(node)
        self.cluster.wait_linked(600)

    def start_node(self, node):
        node.start()
        self.adopt(node.process)

    def stop_node(self, node):
        with self._lock:
            self._processes.remove(node.process)
        node.stop(60)

    def report(self, lines=10):
        return [text[:300] for text in self.cluster.report(lines).splitlines()]

    def stop(self):
        super().stop()
        self.cluster.close(keep_files=True)
