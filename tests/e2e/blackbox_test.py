"""The real binaries against a model, against rsync, and against kill -9 after a durable `wait`. For longer: scripts/blackbox."""
import e2e_case
from blackbox_durable import durable
from blackbox_run import Run, draw
from blackbox_trees import garden


class Blackbox(e2e_case.ClusterTest):
    links_can_be_cut = True

    def test_the_model_explains_what_is_seen(self):
        run = Run(self.farm, self.deadline)
        run.play(draw(self.seed, 100, len(self.farm.nodes)))
        self.say(run.summary())

    def test_any_tree_is_equal_in_the_end(self):
        operations, files, conflicts = garden(self.farm, self.seed, 4, self.deadline)
        self.say(f"{operations} operations, equal: {files} files, {conflicts} conflicts")

    def test_what_is_durable_survives_kill_9(self):
        self.say(f"{durable(self.farm, self.seed, 3, self.deadline)} files were acknowledged as durable, all are there")


if __name__ == "__main__":
    e2e_case.main()
